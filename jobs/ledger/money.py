"""Money is exact: minor units by currency, rounding where a policy names it, products that lose no digit on the way."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from pyspark.sql import Column
from pyspark.sql import functions as F

from jobs.ledger.columns import AMOUNT, QUANTITY, RATED

# ISO 4217 minor units; every other currency has two.
NO_MINOR_UNITS = ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF")  # fmt: skip
THREE_MINOR_UNITS = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")

Rounding = Literal["half_up", "half_even"]  # half_up is half away from zero, the default of law 1


def minor_units(currency: Column) -> Column:
    """How many decimals a currency's amounts have on a document."""
    return F.when(currency.isin(*NO_MINOR_UNITS), 0).when(currency.isin(*THREE_MINOR_UNITS), 3).otherwise(2)


def rounded(amount: Column, currency: Column, rounding: Rounding) -> Column:
    """An exact amount in the minor units of its currency, as AMOUNT; one that does not fit raises."""
    do = F.round if rounding == "half_up" else F.bround
    whole, cents, mills = (do(amount, places).cast(AMOUNT) for places in (0, 2, 3))
    return F.when(currency.isin(*NO_MINOR_UNITS), whole).when(currency.isin(*THREE_MINOR_UNITS), mills).otherwise(cents)


def in_minor_units(amount: Column, currency: Column) -> Column:
    """An amount of any size with the decimals of its currency, half away from zero, in its own type."""
    whole, cents, mills = (F.round(amount, places) for places in (0, 2, 3))
    return F.when(currency.isin(*NO_MINOR_UNITS), whole).when(currency.isin(*THREE_MINOR_UNITS), mills).otherwise(cents)


def finer(text: Column, scale: int) -> Column:
    """Whether a number written as text has more than `scale` decimals, its exponent counted in. Short texts are not looked at."""
    digits = F.length(F.regexp_extract(text, r"\.(\d*?)0*(?:[eE].*)?$", 1))
    exponent = F.coalesce(F.regexp_extract(text, r"[eE]([+-]?\d+)$", 1).try_cast("int"), F.lit(0))
    return ((F.length(text) > scale) | text.rlike("[eE]")) & (digits - exponent > scale)


def exact_sum(one: Column, other: Column) -> Column:
    """Two amounts added as RATED. Spark would drop the last decimal of the sum of two RATED; 19 digits or more raise."""
    return (one.cast("decimal(37,18)") + other.cast("decimal(37,18)")).cast(RATED)


def exact_difference(one: Column, other: Column) -> Column:
    """One amount less another as RATED, exact as exact_sum is."""
    return (one.cast("decimal(37,18)") - other.cast("decimal(37,18)")).cast(RATED)


def exact_product(quantity: Column, unit_price: Column) -> Column:
    """quantity x unit_price as RATED, for operands of up to 21 decimals each.

    Spark types the product of two wide decimals with as few as 6 decimals, rounding in silence. So the price is moved
    twelve places up before (exactly), which leaves 18 decimals in the product, and the result is moved back in two parts
    that both keep every digit. The 19th decimal rounds half away from zero; an amount of 19 digits or more raises.
    """
    trillion = F.expr("CAST(1000000000000 AS DECIMAL(13,0))")
    trillionth = F.expr("CAST(0.000000000001 AS DECIMAL(12,12))")
    raised = (unit_price.cast("decimal(34,21)") * trillion).cast("decimal(38,9)")
    product = (quantity.cast("decimal(38,21)") * raised).cast("decimal(38,6)")
    whole = F.call_function("div", product, trillion).cast(
        "decimal(37,18)"
    )  # one digit less, or the sum would lose a decimal
    rest = (product % trillion).cast("decimal(18,6)") * trillionth
    return (whole + rest).cast(RATED)


def exact_share(quantity: Column, begin: Column, end: Column, of: Column) -> Column:
    """What falls between `begin` and `end` of a quantity spread evenly over `of`, as QUANTITY.

    begin, end, of: whole numbers of less than 15 digits, 0 <= begin <= end <= of. Shares that follow each other add up to the quantity:
    each ends where the next begins, at the last of 21 decimals.
    """
    narrow = "decimal(37,21)"  # one digit less, or the difference would lose a decimal
    return (_until(quantity, end, of).cast(narrow) - _until(quantity, begin, of).cast(narrow)).cast(QUANTITY)


def _until(quantity: Column, at: Column, of: Column) -> Column:
    """quantity x at / of, cut off after 21 decimals: a long division in three steps, since no decimal holds the whole product."""
    told, divisor = at.cast("decimal(14,0)"), of.cast("decimal(14,0)")
    one = F.lit(1).cast("decimal(1,0)")
    raised = ((quantity % one).cast("decimal(21,21)") * _power(10)).cast("decimal(31,21)")
    whole, ten = F.call_function("div", quantity, one), F.call_function("div", raised, one)
    eleven = ((raised % one).cast("decimal(11,11)") * _power(11)).cast("decimal(11,0)")
    rest, found = F.lit(0).cast("decimal(14,0)"), F.lit(0).cast("decimal(37,21)")
    for piece, digits, place in ((whole, 17, 0), (ten, 10, 10), (eleven, 11, 21)):  # place: decimals down to its last digit
        product = (rest * _power(digits) + piece.cast(f"decimal({digits},0)") * told).cast("decimal(38,0)")
        quotient = F.call_function("div", product, divisor).cast(f"decimal({max(digits, 12)},0)")
        unit = F.expr(f"CAST('{Decimal(1).scaleb(-place):f}' AS DECIMAL({max(place, 1)},{place}))")
        found = (found + (quotient * unit).cast("decimal(37,21)")).cast("decimal(37,21)")
        rest = (product % divisor).cast("decimal(14,0)")
    return found


def _power(of_ten: int) -> Column:
    return F.lit(Decimal(10**of_ten)).cast(f"decimal({of_ten + 1},0)")
