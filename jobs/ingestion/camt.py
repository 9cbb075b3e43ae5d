"""Bank statements in ISO 20022's camt format to rows, whatever their version: camt.053 statements, camt.054 notifications.

Read with lxml by local names, one entry at a time. Of the libraries there are (November 2026), pycamt puts the amount of a detail
beside the currency of its entry and knows no notifications, camt053 and bankstatementparser are at 0.0.x and bring a web
framework or pandas, pyiso20022 has a package of generated classes for every version; and none compares entries with balances.
Nothing outside the file is looked at, and a document type declaration is refused: it could only expand entities.

A statement is judged as a whole. Where opening balance and booked entries do not make its closing balance, every row of it
carries that as the reason why it cannot be used. A notification (camt.054) tells entries and no balances, so there is
nothing to judge; it tells in detail what a statement may tell as well, so one account lands one of the two. An intraday
report (camt.052) is refused: all it says comes again, and final, in the statement of the day.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import IO

import pyarrow as pa
from lxml import etree

BATCH = 10_000  # rows
MESSAGES = {"BkToCstmrStmt": "camt.053", "BkToCstmrDbtCdtNtfctn": "camt.054", "BkToCstmrAcctRpt": "camt.052"}
STATEMENTS = {"Stmt": "camt.053", "Ntfctn": "camt.054"}
REVERSAL = "RVSL"  # the last part of the bank code of an entry that takes another one back
OPENING, CLOSING = ("OPBD", "PRCD", "OIBD"), ("CLBD", "CIBD")  # the last of each: a page of a longer statement
UNSAID = ("NOTPROVIDED", "NONREF")

Row = dict[str, str | None]


@dataclass
class _Entry:
    """One booking, with the rows it becomes."""

    rows: list[Row]
    amount: Decimal
    currency: str
    is_reversal: bool
    not_booked: str | None = None


@dataclass
class _Statement:
    """What of a statement has been read so far."""

    kind: str
    id: str
    account: str | None
    currency: str | None
    balances: list[tuple[str, str, str, Decimal]] = field(default_factory=list)  # code, day, currency, amount
    entries: list[_Entry] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def unreadable(stream: IO[bytes]) -> str | None:
    """Why a file is no statement that can be read, in words; None when its entries can be looked at one by one."""
    kind, entries, is_first = None, 0, True
    try:
        for event, element in _parsed(stream, ("start", "end")):
            name = _name(element)
            if is_first and element.getroottree().docinfo.doctype:
                return "declares a document type, which no bank statement needs"
            is_first = False
            if event == "start":
                kind = kind or MESSAGES.get(name)
            elif name == "Ntry":
                entries += 1
                _forget(element)
    except etree.XMLSyntaxError:
        return "is not whole XML"
    if kind is None:
        return "is not a bank statement in a camt format"
    if kind == "camt.052":
        return "is an intraday report (camt.052), and all it says comes again in the statement of the day"
    return None if entries else "has no entries"


def records(stream: IO[bytes], columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Batches of (row_number, _malformed, *columns) of a file that unreadable() found nothing against, in file order."""
    number = 0
    for statement in _statements(stream):
        told = list(_judged(statement))
        for at in range(0, len(told), BATCH):
            part = told[at : at + BATCH]
            arrays = [pa.array(range(number + 1, number + 1 + len(part)), pa.int64())]
            arrays.append(pa.array([why for why, _ in part], pa.string()))
            arrays += [pa.array([row.get(name) for _, row in part], pa.string()) for name in columns]
            yield pa.RecordBatch.from_arrays(arrays, names=["row_number", "_malformed", *columns])
            number += len(part)


def read(path: Path) -> list[Row]:
    """The rows of a small file, with the reason why one cannot be used as `_malformed`."""
    with path.open("rb") as stream:
        return [row | {"_malformed": why} for statement in _statements(stream) for why, row in _judged(statement)]


# --- a statement as a whole ---------------------------------------------------------------------------------------------


def _judged(statement: _Statement) -> Iterator[tuple[str | None, Row]]:
    """Every row with the reason why it cannot be used: its own, or that of the whole statement."""
    held = _held(statement)
    rows = [(entry, row) for entry in statement.entries for row in entry.rows]
    ids = Counter(row["transaction_id"] for _, row in rows if row["transaction_id"])
    for position, (entry, row) in enumerate(rows, start=1):
        place = f"{statement.id}/{row['booking_date']}/{position}"
        known = row["transaction_id"]
        if known is None or ids[known] > 1:  # a name that a bank gives twice in one statement names nothing
            row["transaction_id"] = f"{known}/{place}" if known else place
        yield (held or entry.not_booked), row


def _held(statement: _Statement) -> str | None:
    """Why nothing of a statement may be used; None when it balances, or has nothing to balance."""
    if statement.faults:
        return f"statement {statement.id}: {statement.faults[0]}"
    if statement.kind != "camt.053":
        return None
    opening = [balance for balance in statement.balances if balance[0] in OPENING]
    closing = [balance for balance in statement.balances if balance[0] in CLOSING]
    if not opening or not closing:
        return f"statement {statement.id}: no {'closing' if opening else 'opening'} balance"
    first = min(opening, key=lambda balance: (balance[1], OPENING.index(balance[0])))
    last = max(closing, key=lambda balance: (balance[1], -CLOSING.index(balance[0])))
    booked = [entry for entry in statement.entries if entry.not_booked is None]
    if len({first[2], last[2], *(entry.currency for entry in booked), statement.currency or first[2]}) > 1:
        return f"statement {statement.id}: balances and entries are in different currencies"
    moved = last[3] - first[3]
    if moved == sum(entry.amount for entry in booked):
        return None
    if moved == sum(-entry.amount if entry.is_reversal else entry.amount for entry in booked):
        # ISO 20022 gives a reversal the direction it moves the account in; some banks repeat that of the entry taken back
        for entry in booked:
            if entry.is_reversal:
                for row in entry.rows:
                    row["amount"] = _turned(str(row["amount"]))
        return None
    return f"statement {statement.id}: closing balance is not opening plus entries"


def _turned(amount: str) -> str:
    return amount.removeprefix("-") if amount.startswith("-") else f"-{amount}"


# --- elements -----------------------------------------------------------------------------------------------------------


def _parsed(stream: IO[bytes], events: tuple[str, ...]) -> Iterator[tuple[str, etree._Element]]:
    return etree.iterparse(
        stream, events=events, tag="{*}*", resolve_entities=False, load_dtd=False, no_network=True, remove_comments=True,
        remove_pis=True,
    )  # fmt: skip


def _statements(stream: IO[bytes]) -> Iterator[_Statement]:
    statement = None
    for event, element in _parsed(stream, ("start", "end")):
        name = _name(element)
        if event == "start":
            if name in STATEMENTS:
                statement = _Statement(STATEMENTS[name], "", None, None)
        elif statement is None or element.getparent() is None:
            continue
        elif name in STATEMENTS:
            statement.id = statement.id or "without id"
            yield statement
            _forget(element)
            statement = None
        elif _name(element.getparent()) in STATEMENTS:
            if name == "Id":
                statement.id = (element.text or "").strip()
            elif name == "Acct":
                statement.account = _squeezed(_text(element, "Id/IBAN") or _text(element, "Id/Othr/Id"))
                statement.currency = _text(element, "Ccy")
            elif name == "Bal":
                _add_balance(statement, element)
            elif name == "Ntry":
                statement.entries.append(_entry(statement, element))
            if name in ("Bal", "Ntry"):
                _forget(element)


def _add_balance(statement: _Statement, element: etree._Element) -> None:
    code = _text(element, "Tp/CdOrPrtry/Cd")
    if code == "ITBD":
        code = _text(element, "Tp/SubTp/Cd")
    amount, currency = _amount(element, "Amt")
    if code not in (*OPENING, *CLOSING):
        return
    if amount is None or currency is None:
        statement.faults.append("a balance without an amount")
        return
    signed = -amount if _text(element, "CdtDbtInd") == "DBIT" else amount
    statement.balances.append((code, _day(element, "Dt") or "", currency, signed))


def _entry(statement: _Statement, element: etree._Element) -> _Entry:
    """One entry as rows: one for each detail where the details add up to it, else one for all of it."""
    amount, currency = _amount(element, "Amt")
    sign = _text(element, "CdtDbtInd")
    if amount is None or currency is None or sign not in ("CRDT", "DBIT"):
        statement.faults.append("an entry without an amount or a direction")
        return _Entry([_row(statement, element, [], None, currency)], Decimal(0), currency or "", False)
    written = str(_text(element, "Amt"))
    is_reversal = _text(element, "RvslInd") in ("true", "1")
    status = _text(element, "Sts/Cd") or _text(element, "Sts")
    not_booked = None if status in ("BOOK", None) else f"entry: not booked ({status})"
    details = element.findall("{*}NtryDtls/{*}TxDtls")
    signed = -amount if sign == "DBIT" else amount
    parts = [_detail_amount(detail, str(sign), currency) for detail in details]
    known = [part for part in parts if part is not None]
    if len(details) > 1 and len(known) == len(parts) and sum(value for value, _ in known) == signed:
        rows = [
            _row(statement, element, [detail], text, currency, is_part=True)
            for detail, (_, text) in zip(details, known, strict=True)
        ]
    else:
        rows = [_row(statement, element, details, f"-{written}" if sign == "DBIT" else written, currency)]
    return _Entry(rows, signed, currency, is_reversal, not_booked)


def _detail_amount(detail: etree._Element, sign: str, currency: str) -> tuple[Decimal, str] | None:
    """What a detail adds to its entry, and how it is written; None where it does not say so in the entry's currency."""
    for path in ("Amt", "AmtDtls/TxAmt/Amt", "AmtDtls/CntrValAmt/Amt"):
        amount, told = _amount(detail, path)
        if amount is not None and told == currency:
            direction = _text(detail, "CdtDbtInd") or sign
            written = str(_text(detail, path))
            return (-amount, f"-{written}") if direction == "DBIT" else (amount, written)
    return None


def _row(
    statement: _Statement,
    entry: etree._Element,
    details: list[etree._Element],
    amount: str | None,
    currency: str | None,
    is_part: bool = False,
) -> Row:
    """The canonical columns of feed bank_transactions; several details tell their references and texts together."""
    is_reversal = _text(entry, "RvslInd") in ("true", "1")
    came_in = (_text(entry, "CdtDbtInd") == "CRDT") != is_reversal  # a reversal names the parties of what it takes back
    party = "Dbtr" if came_in else "Cdtr"
    codes = [_text(entry, f"BkTxCd/Domn/{path}") for path in ("Cd", "Fmly/Cd", "Fmly/SubFmlyCd")]
    code = "/".join(part for part in codes if part) or _text(entry, "BkTxCd/Prtry/Cd")
    own = [_said(_text(detail, path)) for detail in details[:1] for path in ("Refs/AcctSvcrRef", "Refs/TxId")]
    whole = None if is_part else _said(_text(entry, "AcctSvcrRef"))
    ids = [own[0] if is_part and own else whole, *own] if details else [whole]
    structured = _each(details, "RmtInf/Strd/CdtrRefInf/Ref") + _each(details, "RmtInf/Strd/RfrdDocInf/Nb")
    free = _each(details, "RmtInf/Ustrd") + _each(details, "RmtInf/Strd/AddtlRmtInf")
    names = [f"RltdPties/{who}/{path}" for who in (party, f"Ultmt{party}") for path in ("Nm", "Pty/Nm")]
    ibans = [f"RltdPties/{party}Acct/Id/{path}" for path in ("IBAN", "Othr/Id")]
    return {
        "transaction_id": next((known for known in ids if known), None),
        "statement_id": statement.id or None,
        "bank_account": statement.account,
        "booking_date": _day(entry, "BookgDt"),
        "value_date": _day(entry, "ValDt"),
        "amount": amount,
        "currency": currency,
        "counterparty_name": _one(details, names),
        "counterparty_iban": _squeezed(_one(details, ibans)),
        "reference": "; ".join(structured) or None,
        "remittance_text": " ".join(free) or (_text(entry, "AddtlNtryInf") if not structured else None),
        "bank_code": "/".join(part for part in (code, REVERSAL if is_reversal else None) if part) or None,
        "end_to_end_id": next((e for e in (_said(e) for e in _each(details, "Refs/EndToEndId")) if e), None),
    }


def _one(details: list[etree._Element], paths: list[str]) -> str | None:
    """What the details tell alike; None where they tell several things, or nothing."""
    told = {next((text for text in (_text(detail, path) for path in paths) if text), None) for detail in details}
    return told.pop() if len(told) == 1 else None


def _each(details: list[etree._Element], path: str) -> list[str]:
    """Every text at a path, each once, in file order."""
    steps = "/".join(f"{{*}}{step}" for step in path.split("/"))
    found = [" ".join((element.text or "").split()) for detail in details for element in detail.findall(steps)]
    return [text for text in dict.fromkeys(found) if text]


def _text(element: etree._Element, path: str) -> str | None:
    found = element.find("/".join(f"{{*}}{step}" for step in path.split("/")))
    return None if found is None else " ".join((found.text or "").split()) or None


def _amount(element: etree._Element, path: str) -> tuple[Decimal | None, str | None]:
    found = element.find("/".join(f"{{*}}{step}" for step in path.split("/")))
    if found is None:
        return None, None
    try:
        amount = Decimal((found.text or "").strip())
    except InvalidOperation:
        return None, found.get("Ccy")
    return (amount if amount.is_finite() and amount >= 0 else None), found.get("Ccy")


def _day(element: etree._Element, path: str) -> str | None:
    """A day as the bank's clocks show it."""
    told = _text(element, f"{path}/Dt") or _text(element, f"{path}/DtTm")
    return told[:10] if told else None


def _said(reference: str | None) -> str | None:
    return None if reference is None or reference.upper() in UNSAID else reference


def _squeezed(number: str | None) -> str | None:
    return "".join(number.split()) if number else None


def _name(element: etree._Element) -> str:
    return str(etree.QName(element).localname)


def _forget(element: etree._Element) -> None:
    """Free what has been read: the element's content, and what stands before it."""
    element.clear()
    parent = element.getparent()
    while parent is not None and element.getprevious() is not None:
        del parent[0]
