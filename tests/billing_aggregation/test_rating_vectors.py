"""Rating and proration as public billing systems test them: each row a price and usage of its own; also through the real stages."""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from jobs.billing_aggregation import adjustments, transforms
from jobs.billing_aggregation.proration import fee_period
from jobs.billing_aggregation.tables import CHARGES
from jobs.ledger.periods import Period
from jobs.ledger.price_spans import ZONES
from jobs.runtime import trace
from jobs.runtime.books import visible_arrow
from jobs.runtime.house import Snapshot, visible, visible_rows
from jobs.runtime.identities import verify
from jobs.runtime.verbs import run_stage
from tests.builders import (
    JULY,
    OF_A_MONTH,
    accounts,
    asked,
    charged,
    conf_file,
    customer,
    dropped,
    frame,
    plain,
    priced,
    prices,
    table_of,
    tenant_conf,
    usage,
    used,
)

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "vectors"
RATING, PRORATION = FOLDER / "rating_vectors.jsonl", FOLDER / "proration_vectors.jsonl"
pytestmark = pytest.mark.skipif(
    not RATING.exists(), reason="the vectors are not beside this checkout (../shared/data/vectors)"
)

RATED = "rated"  # the tenant that has all vectors
FEES_OF = "fees"  # the tenant that has the proration vectors
BILLED = "billed"  # the tenant whose charges are what was billed before, where a vector speaks of that
ACCOUNT, RECORD = "account,name,country,currency\n", "id,account,product,at,units\n"
ALREADY = ("already_qty", "already_billed")  # of a vector, not of a price


def vectors(path):
    """The rows of a file, each by its id or number."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    return {row.get("id", f"P{number:03d}"): row for number, row in enumerate(rows, start=1)}


RATING_ROWS, PRORATION_ROWS = vectors(RATING), vectors(PRORATION)


def price(name, model, parameters, **more):
    """A line of the price list."""
    told = {"price": name, "product": name, "model": model, "parameters": json.dumps(parameters), "currency": "GBP"}
    return json.dumps(told | {"since": "2020-01-01", "until": None, "account": None} | more)


def lands(home, tenant, prices, usage):
    """A tenant with a price list and usage: (product, when, quantity) each."""
    conf = tenant_conf(tenant, prefix=tenant[0].upper())
    columns = {
        "price_id": "price",
        "product_id": "product",
        "valid_from": "since",
        "valid_to": "until",
        "account_id": "account",
    }
    columns |= {name: name for name in ("model", "parameters", "currency")}
    conf["feeds"]["prices"] = {"format": "jsonl", "columns": columns}
    conf_file(home, f"tenants/{tenant}.yaml", conf)
    owners = "".join(f"{name},Somebody,GB,GBP\n" for name in sorted({product for product, _, _ in usage}))
    dropped(home, tenant, "accounts", "accounts.csv", f"{ACCOUNT}{owners}")
    dropped(home, tenant, "prices", "prices.jsonl", "".join(f"{line}\n" for line in prices))
    rows = [f"r-{n},{product},{product},{when},{quantity}\n" for n, (product, when, quantity) in enumerate(usage)]
    dropped(home, tenant, "usage", "usage.csv", "".join([RECORD, *rows]))
    again = "".join([RECORD, *reversed(rows)])  # a delivery repeated changes nothing
    dropped(home, tenant, "usage", "usage-again.csv", again)


def units_of(vector):
    """Usage as a list of records: one of them, unless the vector lists several."""
    return vector["usage"] if isinstance(vector["usage"], list) else [vector["usage"]]


def before(vector):
    """What was used when the vector's month was billed before."""
    return [vector["params"]["already_qty"]] if "already_qty" in vector["params"] else []


def now(vector):
    """What is used by now. A package tells what came on top, a volume what it has come to."""
    on_top = before(vector) if vector["model"] == "package_delta" else []
    return [*on_top, *units_of(vector)]


@pytest.fixture(scope="module")
def landed(shared_home):
    """All vectors, in one run of ingestion."""
    lands_rating(shared_home)
    lands_fees(shared_home)
    run_stage(asked("ingestion", RATED, BILLED, FEES_OF))
    return shared_home


def lands_rating(home):
    """The rating vectors: each a product with its price, and the usage of one account."""
    for tenant, of in ((RATED, now), (BILLED, before)):
        rows = {name: of(vector) for name, vector in RATING_ROWS.items()}
        prices = [
            price(
                name, vector["model"].removesuffix("_delta"), {k: v for k, v in vector["params"].items() if k not in ALREADY}
            )
            for name, vector in RATING_ROWS.items()
        ]
        usage = [(name, "2026-07-10 12:00:00", quantity) for name, quantities in rows.items() for quantity in quantities]
        lands(home, tenant, prices, usage)


def left_to_bill(spark, charged_rows):
    """The amounts of each vector, by product. A re-rated one is what is left to bill."""
    charges = charged_rows.where(f"tenant_id = '{RATED}'")
    by_hand = [
        charged(vector["params"]["already_billed"], tenant_id=RATED, account_id=name, product_id=name, price_id=name,
                model=vector["model"].removesuffix("_delta"), region=None, unit=None, currency="GBP", quantity=vector["usage"])
        for name, vector in RATING_ROWS.items() if "already_billed" in vector["params"]
    ]  # fmt: skip
    earlier = charged_rows.where(f"tenant_id = '{BILLED}'").selectExpr(
        *(f"'{RATED}' AS tenant_id" if name == "tenant_id" else name for name in charged_rows.columns)
    )
    left = adjustments.differences(charges, earlier.unionByName(table_of(spark, CHARGES, by_hand)), Period("2026-08"))
    told: dict[str, list[Decimal]] = {name: [] for name in RATING_ROWS}
    for row in left.collect():
        told[row["product_id"]].append(row["amount"])
    return told


@pytest.fixture(scope="module")
def computed(spark):
    """All rating vectors through the transforms, in one job."""
    used_rows, listed, owners = [], [], []
    for tenant, quantities in ((RATED, now), (BILLED, before)):
        for name, vector in RATING_ROWS.items():
            own = {"tenant_id": tenant, "account_id": name, "product_id": name}
            used_rows += [used(str(quantity), **own, region=None, unit=None) for quantity in quantities(vector)]
            terms = {key: value for key, value in vector["params"].items() if key not in ALREADY}
            model = vector["model"].removesuffix("_delta")
            listed.append(
                priced(
                    tenant_id=tenant,
                    price_id=name,
                    product_id=name,
                    model=model,
                    parameters=json.dumps(terms),
                    currency="GBP",
                )
            )
            owners.append(customer(name, tenant_id=tenant, country="GB", currency="GBP"))
    zones = frame(spark, ZONES, [{"tenant_id": tenant, "timezone": "Europe/London"} for tenant in (RATED, BILLED)])
    rows = transforms.charges(usage(spark, *used_rows), prices(spark, *listed), accounts(spark, *owners), zones, JULY)
    return left_to_bill(spark, table_of(spark, CHARGES, [row.asDict() for row in rows.collect()]))


@pytest.mark.parametrize("name", RATING_ROWS)
def test_a_rating_vector_agrees(computed, name):
    assert plain(sum(computed[name], Decimal(0))) == plain(Decimal(RATING_ROWS[name]["expected"]))


@pytest.fixture(scope="module")
def rated(spark, landed):
    """All rating vectors in one run of the stage."""
    tenants = (RATED, BILLED) if any(map(before, RATING_ROWS.values())) else (RATED,)
    run_stage(asked("billing_aggregation", *tenants))
    return left_to_bill(spark, visible_rows(spark, CHARGES, visible(CHARGES, Snapshot.now())))


@pytest.mark.slow  # here and below what goes through the stages: make test-slow
@pytest.mark.parametrize("name", RATING_ROWS)
def test_a_rating_vector_agrees_through_the_stage(rated, name):
    assert plain(sum(rated[name], Decimal(0))) == plain(Decimal(RATING_ROWS[name]["expected"]))


@pytest.mark.slow
def test_every_rating_vector_was_landed_and_charged(rated):
    quarantined = [row for row in visible_arrow("raw.quarantine").to_pylist() if row["tenant_id"] in (RATED, BILLED)]
    assert quarantined == []
    files = [row for row in visible_arrow("raw.landed_files", tenant=RATED).to_pylist() if row["feed"] == "usage"]
    assert sum(row["rows_duplicate"] for row in files) == sum(row["rows_accepted"] for row in files) > 0
    charges = [row for row in visible_arrow("billing.charges").to_pylist() if row["tenant_id"] == RATED]
    assert {row["product_id"] for row in charges} == {name for name, vector in RATING_ROWS.items() if now(vector)}
    for name, vector in RATING_ROWS.items():
        assert sum(row["quantity"] for row in charges if row["product_id"] == name) == sum(map(Decimal, now(vector)))


@pytest.mark.slow
def test_all_kinds_of_charges_are_invoiced_posted_and_traced(rated):
    for stage in OF_A_MONTH[2:]:
        run_stage(asked(stage.name, RATED))
    assert [finding for finding in verify() if not finding.holds] == []
    charges = visible_arrow("billing.charges", tenant=RATED).to_pylist()
    lines = visible_arrow("invoicing.invoice_lines", tenant=RATED).to_pylist()
    assert {row["charge_id"] for row in lines} == {row["charge_id"] for row in charges}
    billed = {
        row["account_id"]: row["invoice_number"] for row in visible_arrow("invoicing.invoices", tenant=RATED).to_pylist()
    }
    for kind in {row["kind"] for row in charges}:
        account = min(row["account_id"] for row in charges if row["kind"] == kind)
        chain = trace.invoice(billed[account], RATED)
        assert chain.problems == (), kind
        assert kind in {line["charge"]["kind"] for line in chain.lines}


FEE = Decimal("1000000000")  # a fee of which nine decimals of a share are whole currency units
METHODS = ("actual_days", "fixed_30")


def fees():
    """The prices that say a proration vector, each with the month that bills it and what is expected."""
    for name, vector in PRORATION_ROWS.items():
        if "next_bcd" in vector:
            for method in METHODS:
                if f"{method}_days" in vector or method in vector:
                    expected = FEE * Decimal(vector.get(method) or vector[f"{method}_days"])
                    told = {"amount": str(FEE), "proration": method, "anchor_day": int(vector["next_bcd"][-2:])}
                    yield f"{name}-{method}", told, vector["start"], vector["next_bcd"][:7], expected
        elif "anniversary" in vector:
            told = {"amount": str(FEE), "proration": "actual_days", "anchor_day": int(vector["anniversary"][-2:])}
            yield name, told, vector["anniversary"], vector["bill_on"][:7], FEE
        else:
            amount, percent = (Decimal(text) for text in re.fullmatch(r"([\d.]+) \+ ([\d.]+)% tax", vector["plan"]).groups())
            told = {"amount": str(amount * (100 + percent) / 100), "proration": "actual_days"}
            yield name, told, vector["start"], vector["period"], Decimal(vector["expected_total"])


FEES = {name: rest for name, *rest in fees()}
FEE_MONTHS = sorted({month for _, _, month, _ in FEES.values()})


def lands_fees(home):
    """The proration vectors: each a fee of an account that uses nothing, in months in which another uses something."""
    prices = [price("other", "per_unit", {"unit_price": "1"})]
    prices += [price(name, "flat", told, since=since, account=name) for name, (told, since, _, _) in FEES.items()]
    lands(home, FEES_OF, prices, [("other", f"{month}-10 12:00:00", "1") for month in FEE_MONTHS])
    more = "".join(f"{name},Somebody,GB,GBP\n" for name in FEES)
    dropped(home, FEES_OF, "accounts", "more.csv", f"{ACCOUNT}{more}")


@pytest.fixture(scope="module")
def billed_fees(landed):
    """All proration vectors, each billed in its month."""
    for month in FEE_MONTHS:
        run_stage(asked("billing_aggregation", FEES_OF, key="fees", period=month))
    rows = visible_arrow("billing.charges", tenant=FEES_OF).to_pylist()
    return {(row["product_id"], f"{row['period']:%Y-%m}"): row for row in rows}


@pytest.mark.slow  # test_models.py has the shares
@pytest.mark.parametrize("name", FEES)
def test_a_proration_vector_agrees_through_the_stage(billed_fees, name):
    _, _, month, expected = FEES[name]
    charge = billed_fees[name, month]
    places = Decimal(1).scaleb(expected.as_tuple().exponent)
    assert charge["amount"].quantize(places, ROUND_HALF_UP) == expected
    assert (charge["kind"], charge["quantity"], charge["usage_rows"]) == ("fee", 0, 0)


@pytest.mark.parametrize("name", [name for name, row in PRORATION_ROWS.items() if "anniversary" in row])
def test_an_anniversary_the_month_lacks_is_its_last_day(spark, name):
    row = PRORATION_ROWS[name]
    billed = date.fromisoformat(row["bill_on"])
    begins, ends = fee_period(F.lit(billed.replace(day=1)), F.lit(int(row["anniversary"][-2:])))
    (told,) = spark.range(1).select(begins.alias("begins"), ends.alias("ends"), F.date_sub(ends, 1).alias("last")).collect()
    assert [str(told["begins"]), str(told["last"])] == [text[:10] for text in row["first_period"]]
    assert told["ends"] == billed
