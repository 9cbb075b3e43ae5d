"""What a person is offered for a receipt that could not be applied. Every case is a tenant of its own, all in one job."""

from __future__ import annotations

import re

import pytest

from jobs.cash_matching import transforms
from jobs.cash_matching.likeness import SAME, likest, names
from jobs.cash_matching.settings import Settings
from jobs.cash_matching.settings import settings as settings_in_force
from jobs.cash_matching.suggestions import payers, suggestions
from jobs.cash_matching.tables import APPLICATIONS
from jobs.ingestion.tables import ACCOUNTS
from jobs.ledger_posting.tables import OPEN_ITEMS
from jobs.runtime.config import load
from jobs.runtime.errors import ConfigError
from tests.builders import collected, customer, frame, table_of
from tests.cash_matching.test_matching import DAY, IBAN, decisions, owed, received

THREE = [owed("INV-2026-0001", "60"), owed("INV-2026-0002", "40"), owed("INV-2026-0003", "25.5")]
NAME = {"counterparty_name": "GALAXY IT-SERVICES LTD."}
GALAXY = [customer("a-1", legal_name="Galaxy IT Services Limited"), customer("a-2", legal_name="Blue Horizon Travel Ltd")]
KNOWN = {"counterparty_iban": IBAN}
OWNER = [customer("a-1", iban=IBAN)]

BEST = {
    # case: (rows, documents of the first suggestion, its amount, its reason)
    "a_part_of_what_is_named": (
        {"received": [received("50")], "owed": THREE[:1]}, ["d-INV-2026-0001"], "50",
        "a part of what is open, 10.00 EUR less; the reference names it",
    ),
    "bank_charges": (
        {"received": [received("58")], "owed": THREE[:1]}, ["d-INV-2026-0001"], "58",
        "only 2.00 EUR less than what is open; the reference names it",
    ),
    "too_much_for_what_is_named": (
        {"received": [received("61")], "owed": THREE[:1]}, ["d-INV-2026-0001"], "60",
        "1.00 EUR more than what is open; the reference names it",
    ),
    "the_amount_alone": (
        {"received": [received("25.5", None)], "owed": THREE}, ["d-INV-2026-0003"], "25.5", "the amount is what is open",
    ),
    "a_mistyped_number_of_a_known_payer": (
        {"received": [received("30", "INV-2062-0001", **KNOWN)], "owed": THREE, "accounts": OWNER}, ["d-INV-2026-0001"], "30",
        "a part of what is open, 30.00 EUR less; the reference resembles its number; the payer's account is the customer's",
    ),
    "a_mistyped_number_of_a_payer_known_by_name": (
        {"received": [received("60", "INV2026001 (INV)", **NAME)],
         "owed": [*THREE, owed("INV-2026-0009", "60", party_id="a-2")], "accounts": GALAXY}, ["d-INV-2026-0001"], "60",
        "the amount is what is open; the reference resembles its number; the payer's name is like the customer's",
    ),
    "numbers_run_together": (
        {"received": [received("40", "PAYMENTINV20260002OK", **KNOWN)], "owed": THREE, "accounts": OWNER}, ["d-INV-2026-0002"],
        "40", "the amount is what is open; the reference has its number in it; the payer's account is the customer's",
    ),
    "all_that_is_named": (
        {"received": [received("99", "INV-2026-0001 INV-2026-0002")], "owed": THREE},
        ["d-INV-2026-0001", "d-INV-2026-0002"], "99", "all the documents that are named, open to 1.00 EUR more than was paid",
    ),
    "what_is_named_and_the_rest": (
        {"received": [received("125.5", "INV-2026-0001 INV-2026-0002 INV-2026-0030")], "owed": THREE},
        ["d-INV-2026-0001", "d-INV-2026-0002", "d-INV-2026-0003"], "125.5",
        "the documents named and one more are together what was paid",
    ),
    "two_receipts_for_one_document": (
        {"received": [received("60"), received("60", transaction_id="t-2")], "owed": THREE}, ["d-INV-2026-0001"], "60",
        "the amount is what is open; two receipts claim the document",
    ),
    "of_two_alike_the_older_one": (
        {"received": [received("60", None)],
         "owed": [owed("INV-2026-0001", "60"), owed("INV-2026-0004", "60", due_date="2026-05-01")]},
        ["d-INV-2026-0004"], "60", "the amount is what is open",
    ),
}  # fmt: skip
NOTHING = {
    "nothing_agrees": {
        "received": [received("7", "thank you", counterparty_name="Nobody")],
        "owed": THREE,
        "accounts": GALAXY,
    },
    "in_another_currency": {"received": [received("60", None, currency="USD")], "owed": THREE},
    "of_a_payment_that_came_back": {"received": [received("60", bank_code="A/RVSL")], "owed": THREE},
    "on_an_account_of_nobody": {"received": [received("60", bank_account="?")], "owed": THREE},
    "of_what_is_applied": {"received": [received("60")], "owed": THREE},
    "of_another_tenants_document": {"received": [received("33", None)]},
}
CASES = {name: case[0] for name, case in BEST.items()} | NOTHING


def suggested(spark, keep, cases, policy: Settings | None = None):
    """The suggestions for every case."""
    policy = policy or settings_in_force()

    def of(kind: str):
        return [row | {"tenant_id": name} for name, case in cases.items() for row in case.get(kind, [])]

    accounts = table_of(spark, ACCOUNTS, of("accounts"))
    documents = transforms.open_documents(
        table_of(spark, OPEN_ITEMS, of("owed")),
        table_of(spark, APPLICATIONS, []),
        accounts.select("tenant_id", "account_id", "payer_account_id"),
    )
    nothing = frame(spark, "tenant_id string, document_id string, reference string", [])
    keys = transforms.document_keys(documents, nothing, policy)
    names_of = accounts.select("tenant_id", "account_id", "legal_name")
    decided = decisions(spark, keep, cases, policy)
    documents, keys = keep(documents), keep(keys)
    paying = keep(payers(decided, documents, names_of, policy))
    return suggestions(decided, paying, documents, keys, policy, DAY)


@pytest.fixture(scope="module")
def told(spark, keep):
    """Suggestions by tenant and rank, from one job."""
    other = {"another": {"owed": [owed("INV-2026-0077", "33")]}}
    columns = ("tenant_id", "rank", "transaction_id", "document_ids", "amount", "reason", "score", "account_id", "period")
    return collected(suggested(spark, keep, CASES | other), *columns)


@pytest.mark.parametrize("case", BEST)
def test_the_best_suggestion_comes_first_with_its_reason(told, case):
    _, documents, amount, reason = BEST[case]
    first = [row for row in told if row[0] == case and row[1] == 1]
    assert {(tuple(row[3]), row[4], row[5]) for row in first} == {(tuple(documents), amount, reason)}
    assert len(first) == len(CASES[case]["received"])


@pytest.mark.parametrize("case", NOTHING)
def test_nothing_is_suggested_where_nothing_speaks_for_it(told, case):
    assert [row for row in told if row[0] == case] == []


def test_ranks_follow_scores_and_are_no_more_than_the_policy_says(told):
    most = settings_in_force().suggestions_per_receipt
    by_receipt: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for row in told:
        by_receipt.setdefault((row[0], row[2]), []).append((row[1], float(row[6])))
    for ranks in by_receipt.values():
        assert [rank for rank, _ in sorted(ranks)] == list(range(1, len(ranks) + 1))
        assert [score for _, score in sorted(ranks)] == sorted((score for _, score in ranks), reverse=True)
        assert len(ranks) <= most and all(0 < score <= 1 for _, score in ranks)
    assert max(len(ranks) for ranks in by_receipt.values()) == most


def test_reasons_name_nobody(told):
    for row in told:
        assert not re.search(r"galaxy|blue|horizon|DE89", row[5], re.IGNORECASE)


def test_what_too_many_share_is_not_compared(spark, keep):
    few = settings_in_force().model_copy(update={"largest_block": 2})
    alike = [owed(f"INV-2026-{n:04d}", "60") for n in range(3)]
    cases = {
        "amount": {"received": [received("60", None)], "owed": alike},
        "amount_of_a_known_payer": {"received": [received("60", None, **KNOWN)], "owed": alike, "accounts": OWNER},
        "named": {"received": [received("50", "INV-2026-0001")], "owed": alike},
    }
    rows = collected(suggested(spark, keep, cases, few), "tenant_id", "rank", "document_ids")
    assert {row[0] for row in rows} == {"amount_of_a_known_payer", "named"}
    assert [row[2] for row in rows if row[0] == "named"] == [["d-INV-2026-0001"]]


@pytest.mark.parametrize(
    ("text", "number", "likeness"),
    [
        pytest.param("REF INV20260001 X", "INV20260001", SAME, id="inside"),
        pytest.param("INV2026001", "INV20260001", 9524, id="a_digit_left_out"),
        pytest.param("26", "INV20260001", None, id="a_text_shorter_than_the_number_is_compared_as_a_whole"),
        pytest.param("", "INV20260001", None, id="nothing"),
    ],
)
def test_a_number_is_found_inside_a_text(text, number, likeness):
    found = likest(text, ["d"], [number], 7500, 5)
    assert found == ([("d", likeness)] if likeness else [])


def test_of_several_numbers_of_a_document_the_best_counts_and_ties_go_by_id():
    found = likest("ABC123456 XYZ", ["b", "a", "a", "c"], ["ABC123456", "ABC12345", "ABC123456", "QQQQQQ"], 7500, 5)
    assert found == [("a", SAME), ("b", SAME)]
    assert likest("ABC123456", ["b", "a"], ["ABC123456"] * 2, 7500, 1) == [("a", SAME)]


def test_words_of_a_name_may_be_turned_round():
    assert names(["GALAXY IT SERVICES", "GALAXY"], ["IT SERVICES GALAXY", "BLUE HORIZON"])[0] >= 9500
    assert names(["GALAXY"], ["BLUE HORIZON"])[0] < 6000


@pytest.mark.parametrize(
    ("written", "wrong", "said"),
    [
        pytest.param('payer: "0.2"', 'payer: "0.3"', "are 1.1 together, not 1", id="weights"),
        pytest.param("name_likeness", "name_likenes", "unknown key 'name_likenes'; did you mean 'name_likeness'", id="typo"),
        pytest.param('lowest_score: "0.2"', 'lowest_score: "20"', "lowest_score", id="share"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_before_spark_starts(tmp_path, written, wrong, said):
    from jobs.runtime.config import ROOT

    text = (ROOT / "conf" / "cash_matching.yaml").read_text(encoding="utf-8")
    assert written in text
    path = tmp_path / "cash_matching.yaml"
    path.write_text(text.replace(written, wrong), encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(said)):
        load(path, Settings)
