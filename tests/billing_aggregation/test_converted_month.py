"""A price list in dollars bills an account in pounds, by a policy and a file of exchange rates.

The tests of this module are one story and run in the order they stand in; each says one thing about it.
"""

from __future__ import annotations

import pytest
import yaml

from jobs.runtime import identities, trace
from jobs.runtime.config import ROOT
from jobs.runtime.errors import GateFailed
from tests.builders import ALPHA, collected, conf_file, dropped, goes_through, published, tenant_conf

pytestmark = pytest.mark.slow  # whole runs of several stages: make test-slow

ACCOUNTS = "account,name,country,currency\na-1,Ada Somebody,GB,GBP\nd-1,Dan Somebody,GB,USD\n"
PRICES = "price,product,unit_price,currency,since\np-1,vm,2,USD,2026-01-01\n"
USAGE = "id,account,product,at,units\nr-1,a-1,vm,2026-07-10 12:00:00,3\nr-2,d-1,vm,2026-07-10 12:00:00,3\n"
RATES = "source,base,quote,rate,day,revision\n"
JULY = RATES + "ecb,EUR,USD,1.25,2026-07-30,0\necb,EUR,GBP,0.875,2026-07-30,0\necb,EUR,GBP,0,2026-07-29,0\n"
CORRECTED = RATES + "ecb,EUR,GBP,0.85,2026-07-30,1\n"
SHOWN = ("account_id", "currency", "price_currency", "exchange_rate", "rate_date", "amount")
POLICY = {"source": "ecb", "day": "last_of_month", "oldest_days": 5, "rounding": "half_up", "decimals": 6}


@pytest.fixture(scope="module")
def landed(shared_home):
    """All feeds are landed; no policy converts anything yet."""
    conf = tenant_conf(ALPHA)
    columns = {
        "source": "source",
        "base_currency": "base",
        "quote_currency": "quote",
        "rate": "rate",
        "rate_date": "day",
        "revision": "revision",
    }
    conf["feeds"]["fx_rates"] = {"columns": columns}
    conf_file(shared_home, f"tenants/{ALPHA}.yaml", conf)
    for feed, content in {"accounts": ACCOUNTS, "prices": PRICES, "usage": USAGE, "fx_rates": JULY}.items():
        dropped(shared_home, ALPHA, feed, f"{feed}.csv", content)
    goes_through("2026-07", "ingestion")
    return shared_home


@pytest.fixture(scope="module")
def charged(landed):
    """A policy names the rates."""
    billing = yaml.safe_load((ROOT / "conf/billing_aggregation.yaml").read_text())
    conf_file(landed, "billing_aggregation.yaml", billing | {"conversion": POLICY})
    goes_through("2026-07", "billing_aggregation")
    return landed


@pytest.fixture(scope="module")
def corrected(charged):
    """A rate is corrected before the month is invoiced."""
    dropped(charged, ALPHA, "fx_rates", "corrected.csv", CORRECTED)
    goes_through("2026-07", "ingestion", "billing_aggregation", "invoice_generation")
    return charged


def test_without_a_policy_the_account_in_pounds_has_no_price(landed):
    with pytest.raises(GateFailed, match="every charge has a price in force"):
        goes_through("2026-07", "billing_aggregation")


def test_a_rate_that_cannot_be_is_quarantined(spark, landed):
    assert collected(published(spark, "raw.quarantine"), "reasons") == [(["rate: not above 0"],)]


def test_the_account_is_billed_in_its_currency_at_the_rate_of_the_day(spark, charged):
    told = published(spark, "billing.charges", "2026-07").selectExpr(
        *(f"string({name})" if name == "rate_date" else name for name in SHOWN)
    )
    assert collected(told) == [("a-1", "GBP", "USD", "0.7", "2026-07-30", "4.2"), ("d-1", "USD", None, None, None, "6")]


def test_a_second_run_changes_nothing(charged):
    assert [outcome.status for outcome in goes_through("2026-07", "billing_aggregation")] == ["unchanged"]


def test_a_corrected_rate_charges_the_open_month_anew(spark, corrected):
    told = published(spark, "billing.charges", "2026-07").where("account_id = 'a-1'")
    assert collected(told, "exchange_rate", "amount") == [("0.68", "4.08")]


def test_an_auditor_walks_from_the_document_to_the_price_in_dollars(spark, corrected):
    (number,) = (
        row["invoice_number"]
        for row in published(spark, "invoicing.invoices", "2026-07").where("account_id = 'a-1'").collect()
    )
    chain = trace.invoice(number)
    assert chain.problems == ()
    (line,) = chain.lines
    assert [row["record_id"] for row in line["charge"]["usage"]] == ["r-1"]
    assert [(price["price_id"], price["currency"]) for price in line["charge"]["price"]] == [("p-1", "USD")]


def test_the_identities_hold(corrected):
    assert [found for found in identities.verify(tenant=ALPHA) if not found.holds] == []
