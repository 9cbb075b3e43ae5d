"""Which credit pays what of which charge: a customer's credits in their order, each looking at what those before it left.

That is a sequence, so it is a fold over the credits of one customer, in one Spark expression with exact decimals; customers are worked
through beside each other. It is written as SQL, since it is nested deeper than a message of Spark Connect may be; each function here
gives the text of a part. Source: docs/decisions/0010-credits.md
"""

from __future__ import annotations

from datetime import date

from pyspark.sql import Column
from pyspark.sql import functions as F

NEVER = date(9999, 12, 31)
RATED, NARROW = "DECIMAL(38,18)", "DECIMAL(37,18)"  # one digit less, or a sum would lose a decimal
WEIGHT = "DECIMAL(27,0)"  # an amount below 10^18, counted in billionths
UNITS = "DECIMAL(20,0)"  # an amount counted in minor units of its currency
NOTHING = f"CAST(0 AS {RATED})"
PIECE = "CAST(10000000000 AS DECIMAL(11,0))"
BILLION = "CAST(1000000000 AS DECIMAL(10,0))"
PAID = f"ARRAY<STRUCT<place: INT, credit_id: STRING, amount: {RATED}>>"


def ranked(credits: Column) -> Column:
    """Credits in the order in which they are used: the one that expires first, then by credit_id.

    credits: an array of struct<valid_to, credit_id, account_id, balance, products, region, is_shared>, valid_to null where a credit never
    expires, products null where it pays for all of them.
    """
    expires = F.transform(credits, lambda one: one.withField("valid_to", F.coalesce(one["valid_to"], F.lit(NEVER))))
    return F.array_sort(expires)


def covered() -> Column:
    """What each credit pays of each charge, as PAID: the place of the charge, counted from nothing, the credit and an amount above nothing.

    Of the columns charges: an array of struct<account_id, product_id, region, amount, ..> of one payer and currency, in a fixed order;
    an amount may be below nothing. credits: as ranked() orders them. minor_units: decimals of the currency. Together the charges that a
    credit may be used for never come to less than nothing, and no charge above nothing does by itself.
    """
    left = f"transform(charges, row -> coalesce(CAST(row.amount AS {RATED}), {NOTHING}))"
    rooms = f"zip_with(charges, state.left, (row, room) -> CASE WHEN {_covers('credit', 'row')} THEN room END)"
    net = _sum(f"transform(mine, room -> coalesce(room, {NOTHING}))")
    terms = (
        f"named_struct('amount', CAST(least(credit.balance, {net}) AS {RATED}), "
        f"'rooms', transform(mine, room -> greatest(coalesce(room, {NOTHING}), {NOTHING})))"
    )
    told = (
        "transform(shared, (share, place) -> named_struct('place', place, 'credit_id', credit.credit_id, 'amount', share))"
    )
    after = (
        f"named_struct('left', zip_with(state.left, shared, (room, share) -> {_less('room', 'share')}), "
        f"'paid', CAST(concat(state.paid, filter({told}, one -> one.amount > 0)) AS {PAID}))"
    )
    pays = _let("shared", shares_of("terms.amount", "terms.rooms"), after)
    asked = _let("terms", terms, f"CASE WHEN terms.amount > 0 THEN {pays} ELSE state END")
    step = _let("mine", rooms, asked)
    start = f"named_struct('left', {left}, 'paid', CAST(array() AS {PAID}))"
    return F.expr(f"aggregate(credits, {start}, (state, credit) -> {step}, state -> state.paid)")


def shares() -> Column:
    """The column amount spread over the column rooms, as shares_of() says; minor_units: decimals of the currency."""
    return F.expr(shares_of("amount", "rooms"))


def shares_of(amount: str, rooms: str) -> str:
    """An amount spread over charges in proportion, none more than its room; an array of RATED that adds up to it.

    amount: at most the sum of rooms, an array of RATED of nothing or more. All of the rooms if it fills them. Else whole minor units by
    largest remainder, charges weighed to nine decimals; what is less than one goes where there is room.
    """
    spread = _let("floors", _floors(amount, rooms), _topped_up(amount, "floors"))
    return _let("whole", _sum(rooms), f"CASE WHEN {amount} = whole THEN {rooms} ELSE {spread} END")


def _covers(credit: str, row: str) -> str:
    """Whether a charge is one that a credit may be used for."""
    return (
        f"({credit}.is_shared OR {credit}.account_id = {row}.account_id) "
        f"AND ({credit}.products IS NULL OR array_contains({credit}.products, {row}.product_id)) "
        f"AND ({credit}.region IS NULL OR {credit}.region <=> {row}.region)"
    )


def _floors(amount: str, rooms: str) -> str:
    """What each charge's weight is worth in whole units, as far as it has room, those that lost most first."""
    weights = f"transform({rooms}, room -> CAST(CAST(room AS DECIMAL(27,9)) * {BILLION} AS {WEIGHT}))"
    summed = f"aggregate(weights, CAST(0 AS {WEIGHT}), (total, weight) -> CAST(total + weight AS {WEIGHT}))"
    given = f"named_struct('units', {_units(amount)}, 'weights', weights, 'whole', greatest({summed}, CAST(1 AS {WEIGHT})))"
    worth = _share("given.units", "element_at(given.weights, place + 1)", "given.whole")
    share = _amount(f"least(worth.units, {_units('room')})")
    floor = f"named_struct('less', -worth.rest, 'place', place, 'room', room, 'share', {share})"
    floors = f"array_sort(transform({rooms}, (room, place) -> {_let('worth', worth, floor)}))"
    return _let("weights", weights, _let("given", given, floors))


def _share(units: str, weight: str, whole: str) -> str:
    """units x weight / whole as whole units and a rest: a long division in two steps, since no decimal holds the product."""
    upper = f"CAST(CAST({units} DIV {PIECE} AS DECIMAL(10,0)) * {weight} AS DECIMAL(38,0))"
    carried = f"CAST(CAST(upper % {whole} AS {WEIGHT}) * {PIECE} AS DECIMAL(38,0))"
    lower = f"CAST({carried} + CAST(CAST({units} % {PIECE} AS DECIMAL(10,0)) * {weight} AS DECIMAL(37,0)) AS DECIMAL(38,0))"
    told = (
        f"named_struct('units', CAST((upper DIV {whole}) * {PIECE} + (lower DIV {whole}) AS {UNITS}), "
        f"'rest', CAST(lower % {whole} AS {WEIGHT}))"
    )
    return _let("upper", upper, _let("lower", lower, told))


def _topped_up(amount: str, floors: str) -> str:
    """The floors with what they leave of an amount: first a unit each in their order, then whatever has room. In the charges' order."""
    unit = _amount("1")
    fits = f"rest >= {unit} AND {_plus('row.share', unit)} <= row.room"
    units = f"CASE WHEN {fits} THEN {unit} ELSE {NOTHING} END"
    whatever = f"CAST(least(rest, {_less('row.room', 'row.share')}) AS {RATED})"
    rest = _less(amount, _sum(f"transform({floors}, row -> row.share)"))
    once = _handed_out(f"named_struct('rest', {rest}, 'rows', {floors})", units)
    placed = "array_sort(transform(topped.rows, row -> named_struct('place', row.place, 'share', row.share)))"
    return _let("topped", _handed_out(once, whatever), f"transform({placed}, row -> row.share)")


def _handed_out(start: str, more: str) -> str:
    """A rest handed out over rows, each given as much as `more` says of `rest` and `row`."""
    row = f"named_struct('less', row.less, 'place', row.place, 'room', row.room, 'share', {_plus('row.share', 'added')})"
    given = f"named_struct('rest', {_less('rest', 'added')}, 'rows', concat(handed.rows, array({row})))"
    step = _let("rest", "handed.rest", _let("added", more, given))
    empty = "named_struct('rest', begun.rest, 'rows', slice(begun.rows, 1, 0))"
    return _let("begun", start, f"aggregate(begun.rows, {empty}, (handed, row) -> {step})")


def _units(amount: str) -> str:
    """How many whole minor units an amount has."""
    return (
        f"CASE minor_units WHEN 0 THEN CAST(floor({amount}, 0) AS {UNITS}) "
        f"WHEN 2 THEN CAST(CAST(floor({amount}, 2) AS DECIMAL(20,2)) * 100 AS {UNITS}) "
        f"ELSE CAST(CAST(floor({amount}, 3) AS DECIMAL(21,3)) * 1000 AS {UNITS}) END"
    )


def _amount(units: str) -> str:
    """So many minor units as an amount."""
    unit = "CASE minor_units WHEN 0 THEN 1.000BD WHEN 2 THEN 0.010BD ELSE 0.001BD END"
    return f"CAST(CAST({units} AS {UNITS}) * {unit} AS {RATED})"


def _let(name: str, value: str, body: str) -> str:
    """An expression of a value that is computed once, however often the expression names it."""
    return f"element_at(transform(array({value}), {name} -> {body}), 1)"


def _sum(amounts: str) -> str:
    return f"aggregate({amounts}, {NOTHING}, (total, one) -> {_plus('total', 'one')})"


def _plus(one: str, other: str) -> str:
    return f"CAST(CAST({one} AS {NARROW}) + CAST({other} AS {NARROW}) AS {RATED})"


def _less(one: str, other: str) -> str:
    return f"CAST(CAST({one} AS {NARROW}) - CAST({other} AS {NARROW}) AS {RATED})"
