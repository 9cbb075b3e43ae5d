"""Account numbers, bank codes and tax numbers of nobody, with the check digits that their countries ask for.

Written out here and not taken from the libraries that the rules ask, so that world and rules are right independently.
"""

from __future__ import annotations

from collections.abc import Callable

BANK = "SIMB"  # no bank is called so

INDIAN_STATES = {"27": "Maharashtra", "29": "Karnataka", "33": "TN"}  # the first two digits of a GSTIN

# Tax numbers: https://ec.europa.eu/taxation_customs (VIES algorithms), UID-Register of Switzerland, NTA of Japan, GSTN of India


def account_number(country: str, number: int) -> str:
    """The account of some number: an IBAN (ISO 13616), or in countries that have none what a bank there calls an account."""
    if country in _LOCAL:
        return _LOCAL[country](number)
    bban = _BBAN[country](number)
    return f"{country}{98 - _as_number(f'{bban}{country}00') % 97:02d}{bban}"


def has_iban(country: str) -> bool:
    """Whether accounts of a country are IBANs."""
    return country in _BBAN


def has_account(country: str) -> bool:
    """Whether somebody simulated banks in a country."""
    return country in _BBAN or country in _LOCAL


def misprinted(account: str) -> str:
    """The same account with its last digit wrong, so that no check digit fits any more."""
    return account[:-1] + str((int(account[-1]) + 1) % 10)


def bank_code(country: str) -> str:
    """A BIC (ISO 9362)."""
    return f"{BANK}{country}2A"


def tax_number(country: str, number: int) -> str | None:
    """A VAT number as an invoice prints it; None where a country has none, or nobody is simulated to have one."""
    return _TAX[country](number % 9_000_000 + 1_000_000) if country in _TAX else None


def wrong_tax_number(country: str, number: int) -> str:
    """A number of the right shape whose check digit is wrong."""
    right = str(tax_number(country, number))
    at = next(place for place in range(len(right) - 1, -1, -1) if right[place].isdigit())
    return right[:at] + str((int(right[at]) + 1) % 10) + right[at + 1 :]


def _as_number(text: str) -> int:
    """Letters as 10 to 35."""
    return int("".join(str(int(sign, 36)) for sign in text))


def _french(number: int) -> str:
    bank, branch, account = 99_999, number % 100_000, number
    key = 97 - (89 * bank + 15 * branch + 3 * account) % 97
    return f"{bank:05d}{branch:05d}{account:011d}{key:02d}"


def _belgian(number: int) -> str:
    front = 9_990_000_000 + number % 10_000_000
    return f"{front:010d}{front % 97 or 97:02d}"


def _norwegian(number: int) -> str:
    return _by_eleven(9_999_100_000 + number % 800_000, (5, 4, 3, 2, 7, 6, 5, 4, 3, 2))


_BBAN: dict[str, Callable[[int], str]] = {
    "DE": lambda number: f"99999999{number:010d}",
    "AT": lambda number: f"99999{number:011d}",
    "CH": lambda number: f"99999{number:012d}",
    "GB": lambda number: f"{BANK}999999{number % 100_000_000:08d}",
    "IE": lambda number: f"{BANK}999999{number % 100_000_000:08d}",
    "FR": _french,
    "BE": _belgian,
    "NO": _norwegian,
    "AE": lambda number: f"999{number:016d}",
}
_LOCAL: dict[str, Callable[[int], str]] = {
    "US": lambda number: f"999999999-{number:010d}",
    "CA": lambda number: f"99999-999-{number:07d}",
    "JP": lambda number: f"9999-999-{number:07d}",
    "AU": lambda number: f"999-999-{number:08d}",
    "NZ": lambda number: f"99-9999-{number:07d}-00",
    "SG": lambda number: f"9999-999-{number:07d}",
    "IN": lambda number: f"SIMB0999999-{number:011d}",
}


def _digits(number: int | str) -> list[int]:
    return [int(digit) for digit in str(number)]


def _weighted(digits: list[int], weights: tuple[int, ...]) -> int:
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=True))


def _german(number: int) -> str:
    """ISO 7064, MOD 11,10."""
    front, rest = f"1{number:07d}", 10
    for digit in _digits(front):
        rest = ((digit + rest) % 10 or 10) * 2 % 11
    return f"DE{front}{(11 - rest) % 10}"


def _french_vat(number: int) -> str:
    """SIREN with its Luhn digit, before it the key of the SIREN."""
    front = f"9{number:07d}"
    doubled = sum(sum(_digits(digit * 2)) if place % 2 else digit for place, digit in enumerate(_digits(front)))
    siren = int(front) * 10 + -doubled % 10
    return f"FR{(12 + 3 * (siren % 97)) % 97:02d}{siren}"


def _british(number: int) -> str:
    total = _weighted(_digits(number), (8, 7, 6, 5, 4, 3, 2))
    return f"GB{number:07d}{97 - total % 97:02d}"


def _by_eleven(front: int, weights: tuple[int, ...]) -> str:
    """A front with its check digit of MOD 11, or the next one: fronts whose digit would be 10 are not given out."""
    check = 10
    while check == 10:
        check = -_weighted(_digits(front), weights) % 11
        front += 1
    return f"{front - 1}{check}"


def _swiss(number: int) -> str:
    """UID."""
    uid = _by_eleven(10_000_000 + number, (5, 4, 3, 2, 7, 6, 5, 4))
    return f"CHE-{uid[:3]}.{uid[3:6]}.{uid[6:]} MWST"


def _japanese(number: int) -> str:
    """A registered issuer: T before the corporate number."""
    front = f"{700_000_000_000 + number:012d}"
    check = 9 - sum(digit * (1 + place % 2) for place, digit in enumerate(reversed(_digits(front)))) % 9
    return f"T{check}{front}"


def _austrian(number: int) -> str:
    doubled = sum(sum(_digits(digit * 2)) if place % 2 else digit for place, digit in enumerate(_digits(number)))
    return f"ATU{number:07d}{(6 - doubled) % 10}"


def _belgian_vat(number: int) -> str:
    front = f"0{number:07d}"
    return f"BE{front}{97 - int(front) % 97:02d}"


def _irish(number: int) -> str:
    total = _weighted(_digits(number), (8, 7, 6, 5, 4, 3, 2))
    return f"IE{number:07d}{'WABCDEFGHIJKLMNOPQRSTUV'[total % 23]}"


def _danish(number: int) -> str:
    return f"DK{_by_eleven(number, (2, 7, 6, 5, 4, 3, 2))}"


def _finnish(number: int) -> str:
    return f"FI{_by_eleven(number, (7, 9, 10, 5, 8, 4, 2))}"


def _italian(number: int) -> str:
    """Seven digits, the office's three, and the digit of Luhn."""
    front = f"{number:07d}015"
    doubled = sum(sum(_digits(digit * 2)) if place % 2 else digit for place, digit in enumerate(_digits(front)))
    return f"IT{front}{-doubled % 10}"


def _luxembourgish(number: int) -> str:
    front = number % 900_000 + 100_000
    return f"LU{front}{front % 89:02d}"


def _polish(number: int) -> str:
    front, check = 520_000_000 + number, 10
    while check == 10:
        check = _weighted(_digits(front), (6, 5, 7, 2, 3, 4, 5, 6, 7)) % 11
        front += 1
    return f"PL{front - 1}{check}"


def _portuguese(number: int) -> str:
    front = 50_000_000 + number
    check = -_weighted(_digits(front), (9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return f"PT{front}{0 if check == 10 else check}"


def gst_number(state: str, number: int) -> str:
    """An Indian GSTIN of a state: its code, a PAN, 1, Z and the check sign, each second sign weighing double in base 36."""
    front = f"{state}AAACS{number % 9_999 + 1:04d}K1Z"
    total = sum(sum(divmod(int(sign, 36) * (1 + place % 2), 36)) for place, sign in enumerate(front))
    check = -total % 36
    return front + (str(check) if check < 10 else chr(55 + check))


_TAX: dict[str, Callable[[int], str]] = {
    "DE": _german, "FR": _french_vat, "GB": _british, "CH": _swiss, "JP": _japanese, "AT": _austrian, "BE": _belgian_vat,
    "IE": _irish, "DK": _danish, "FI": _finnish, "IT": _italian, "LU": _luxembourgish, "PL": _polish, "PT": _portuguese,
}  # fmt: skip
