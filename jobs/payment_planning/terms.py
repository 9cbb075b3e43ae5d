"""Payment terms as invoices and vendors write them, read by a small grammar.

    immediate | due on receipt | on receipt | upon receipt | cash on delivery | 0 | net 0      at once
    30 | net 30 | net30 | n/30 | 30 days | net 30 days | 30 days net                           so many days after the invoice date
    2/10 net 30 | 2% 10 net 30                 the same; the discount is left alone, since nobody has decided to take it
    eom | end of month                                                                         the last day of the invoice's month
    eom+10 | eom 10 | end of month + 10 days                                                   so many days after that day
    net 30 eom | 30 days eom                   the last day of the month in which the thirtieth day lies

Upper and lower case, and how many blanks, make no difference. Anything else is not guessed at: the payable waits.
"""

from __future__ import annotations

import re

from pyspark.sql import Column
from pyspark.sql import functions as F

_DAYS = r"0*([0-9]{1,3})"
_AT_ONCE = r"^(immediate|immediately|due on receipt|due upon receipt|on receipt|upon receipt|cash on delivery|cod|(net ?)?0+( days)?)$"
_NET = rf"^(?:net ?|n ?/? ?)?{_DAYS}(?: ?days?)?(?: net)?$"
_DISCOUNT = rf"^[0-9]+(?:\.[0-9]+)?%? ?[/ ] ?[0-9]+,? ?(?:net ?|n ?/? ?){_DAYS}$"
_END_OF_MONTH = rf"^(?:eom|end of month)(?: ?\+? ?{_DAYS}(?: ?days?)?)?$"
_DAYS_THEN_END_OF_MONTH = rf"^(?:(?:net|n) ?/? ?{_DAYS}(?: ?days?)?|{_DAYS} ?days?) (?:eom|end of month)$"


def understood(text: str) -> bool:
    """Whether terms are in the grammar; for those that configuration names."""
    plain = " ".join(text.lower().split())
    patterns = (_AT_ONCE, _NET, _DISCOUNT, _END_OF_MONTH, _DAYS_THEN_END_OF_MONTH)
    return any(re.match(pattern, plain) for pattern in patterns)


def _plain(terms: Column) -> Column:
    return F.trim(F.regexp_replace(F.lower(terms), r"\s+", " "))


def at_once(terms: Column) -> Column:
    """Whether terms ask for payment at once."""
    return F.coalesce(_plain(terms).rlike(_AT_ONCE), F.lit(False))


def due_date(terms: Column, invoice_date: Column) -> Column:
    """The day on which an invoice of some date falls due; null for terms that are not in the grammar."""
    text = _plain(terms)
    after_month = F.last_day(invoice_date)
    return (
        F.when(text.rlike(_AT_ONCE), invoice_date)
        .when(text.rlike(_NET), F.date_add(invoice_date, _days(text, _NET)))
        .when(text.rlike(_DISCOUNT), F.date_add(invoice_date, _days(text, _DISCOUNT)))
        .when(text.rlike(_END_OF_MONTH), F.date_add(after_month, _days(text, _END_OF_MONTH)))
        .when(text.rlike(_DAYS_THEN_END_OF_MONTH), F.last_day(F.date_add(invoice_date, _days_of_either(text))))
    )


def _days(text: Column, pattern: str, group: int = 1) -> Column:
    """The number in some terms; 0 where there is none."""
    return F.coalesce(F.nullif(F.regexp_extract(text, pattern, group), F.lit("")).cast("int"), F.lit(0))


def _days_of_either(text: Column) -> Column:
    return F.greatest(_days(text, _DAYS_THEN_END_OF_MONTH, 1), _days(text, _DAYS_THEN_END_OF_MONTH, 2))
