"""The suites of payment planning: what a run stages passes them, and each broken promise is caught for the tenant that broke it."""

from __future__ import annotations

import hashlib
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from pyspark.sql import functions as F

from jobs.ingestion.tables import VENDORS
from jobs.payment_planning import files, pain, transforms
from jobs.payment_planning.tables import PAYMENT_BATCHES, PAYMENT_INSTRUCTIONS
from tests.builders import ALPHA, collected, failures, frame, judged, table_of
from tests.payment_planning.payables import (
    BRITISH,
    WEDNESDAY_MORNING,
    accepted,
    decided,
    instructed,
    payer,
    planned,
    policy,
    vendor,
)

CREATED = WEDNESDAY_MORNING + timedelta(microseconds=1)
BATCH = {
    "batch_id": "b" * 64, "legal_entity_id": "alpha-one", "currency": "EUR", "method": "sepa", "value_date": "2026-07-06", "instruction_count": 2,
    "control_sum": "10.50", "file_name": "b.xml", "content_sha256": "aa", "instructions_found": 2, "instructions_sum": "10.50",
    "kinds_of_instruction": 1, "file_sha256": "aa", "file_message_id": "b" * 35, "group_count": 2, "group_sum": "10.50", "info_count": 2,
    "info_sum": "10.50", "file_count": 2, "file_sum": "10.50", "file_names": 2, "file_currency": "EUR", "file_value_date": "2026-07-06",
    "is_business_day": True, "earliest_day": "2026-07-01", "is_entitys_account": True,
}  # fmt: skip
BATCHES = (
    "tenant_id string, batch_id string, legal_entity_id string, currency string, method string, value_date date, instruction_count bigint, "
    "control_sum decimal(18,3), file_name string, content_sha256 string, instructions_found bigint, instructions_sum decimal(18,3), "
    "kinds_of_instruction bigint, file_sha256 string, file_problem string, file_message_id string, group_count bigint, group_sum decimal(38,5), "
    "info_count bigint, info_sum decimal(38,5), file_count bigint, file_sum decimal(38,5), file_names bigint, file_currency string, "
    "file_value_date string, known_before int, is_business_day boolean, earliest_day date, is_entitys_account boolean"
)
TOTALS, PAYMENTS, PLACE = (
    "a file's control totals = its batch", "a file's payments = its batch", "a file pays in its batch's currency, on its day, from its legal entity's account",
)  # fmt: skip
BROKEN_BATCHES = {
    "twice": ({"a batch stands once", "one batch per legal entity, currency, method and value date"}, [BATCH, BATCH]),
    "split": (
        {"one batch per legal entity, currency, method and value date"},
        [BATCH, BATCH | {"batch_id": "c" * 64, "file_message_id": "c" * 35}],
    ),
    "known": ({"a batch has no file from an earlier run"}, [BATCH | {"known_before": 1}]),
    "short": ({"a batch = its instructions"}, [BATCH | {"instructions_sum": "10.49"}]),
    "without_instructions": ({"a batch = its instructions"}, [BATCH | {"instructions_found": None, "instructions_sum": None, "kinds_of_instruction": None}]),
    "mixed": ({"a batch = its instructions"}, [BATCH | {"kinds_of_instruction": 2}]),
    "nothing": (
        {"a batch pays something"},
        [BATCH | dict.fromkeys(("control_sum", "instructions_sum", "group_sum", "info_sum", "file_sum"), "0")],
    ),
    "invalid": ({"a file is valid by the schema of pain.001.001.09"}, [BATCH | {"file_problem": "line 1: {x}Max35Text"}]),
    "header": ({TOTALS}, [BATCH | {"group_sum": "10.51"}]),
    "info": ({TOTALS}, [BATCH | {"info_count": 3}]),
    "lost_payment": ({PAYMENTS}, [BATCH | {"file_count": 1}]),
    "one_name_twice": ({PAYMENTS}, [BATCH | {"file_names": 1}]),
    "another_day": ({PLACE}, [BATCH | {"file_value_date": "2026-07-07"}]),
    "another_account": ({PLACE}, [BATCH | {"is_entitys_account": False}]),
    "two_currencies": ({PLACE}, [BATCH | {"file_currency": "EUR,GBP"}]),
    "changed": ({"the stored hash is the file's"}, [BATCH | {"file_sha256": "bb"}]),
    "holiday": ({"a batch is settled on a business day that can still be reached"}, [BATCH | {"is_business_day": None}]),
    "too_early": ({"a batch is settled on a business day that can still be reached"}, [BATCH | {"earliest_day": "2026-07-07"}]),
}  # fmt: skip
PAYABLE = {
    "payable_id": "p-1", "currency": "EUR", "paid_currency": "EUR", "accepted": 1, "accepted_amount": "10", "status": "instructed now", "reasons": [],
    "still_accepted": True, "name_length": 35, "payments_of_that_name": 1, "times_before": 0, "times_now": 1, "before_amount": "0",
    "now_amount": "10", "not_due_amount": "0", "waiting_amount": "0",
}  # fmt: skip
PAYABLES = (
    "tenant_id string, payable_id string, currency string, paid_currency string, accepted int, accepted_amount decimal(18,3), status string, "
    "reasons array<string>, still_accepted boolean, name_length int, payments_of_that_name bigint, times_before bigint, times_now bigint, "
    "before_amount decimal(18,3), now_amount decimal(18,3), not_due_amount decimal(18,3), waiting_amount decimal(18,3)"
)
NUMBER, AMOUNTS = (
    f"accepted = instructed before + instructed now + not due yet + waiting, in {what}" for what in ("number", "amount")
)
UNPAID = {"times_now": 0, "now_amount": "0", "paid_currency": None, "name_length": None, "payments_of_that_name": None}
BROKEN_PAYABLES = {
    "paid_twice": ({"a payable is paid at most once", NUMBER, AMOUNTS}, PAYABLE | {"times_before": 1, "before_amount": "10"}),
    "grown_since": (
        {"what was instructed before is the amount that is accepted now"},
        PAYABLE | UNPAID | {"times_before": 1, "before_amount": "10", "accepted_amount": "12", "status": "instructed before"},
    ),
    "never_accepted": ({"only what is accepted is paid", "the amount paid is the amount accepted, in its currency"}, PAYABLE | {"accepted": None, "accepted_amount": None}),
    "decided_otherwise": ({"only what is accepted is paid"}, PAYABLE | {"still_accepted": False}),
    "a_mill_less": ({"the amount paid is the amount accepted, in its currency", AMOUNTS}, PAYABLE | {"now_amount": "9.999"}),
    "other_money": ({"the amount paid is the amount accepted, in its currency"}, PAYABLE | {"paid_currency": "GBP"}),
    "lost": ({NUMBER, AMOUNTS}, PAYABLE | UNPAID),
    "silent": ({"what waits says why"}, PAYABLE | UNPAID | {"status": "waiting", "waiting_amount": "10"}),
    "short_name": ({"a payment has an end-to-end id of its own"}, PAYABLE | {"name_length": 34}),
    "shared_name": ({"a payment has an end-to-end id of its own"}, PAYABLE | {"payments_of_that_name": 2}),
    "blocked": ({"no accepted payable waits: vendor_blocked"}, PAYABLE | UNPAID | {"status": "waiting", "waiting_amount": "10", "reasons": ["vendor_blocked"]}),
}  # fmt: skip


def rows_of(broken, good, schema):
    told = [
        row | {"tenant_id": tenant}
        for tenant, (_, rows) in broken.items()
        for row in (rows if isinstance(rows, list) else [rows])
    ]
    return schema, [*told, good | {"tenant_id": "good"}]


@pytest.fixture(scope="module")
def failed_batches(spark, shared_home):
    return failures(
        judged(
            "payment_planning", "batches", frame(spark, *rows_of(BROKEN_BATCHES, BATCH, BATCHES)), [*BROKEN_BATCHES, "good"]
        )
    )


@pytest.fixture(scope="module")
def failed_payables(spark, shared_home):
    return failures(
        judged(
            "payment_planning",
            "instructions",
            frame(spark, *rows_of(BROKEN_PAYABLES, PAYABLE, PAYABLES)),
            [*BROKEN_PAYABLES, "good"],
        )
    )


@pytest.mark.parametrize("tenant", BROKEN_BATCHES)
def test_a_broken_batch_is_caught_for_its_tenant(failed_batches, tenant):
    assert {verdict.expectation for verdict in failed_batches[tenant]} == BROKEN_BATCHES[tenant][0]


@pytest.mark.parametrize("tenant", BROKEN_PAYABLES)
def test_a_payable_gone_wrong_is_caught_for_its_tenant(failed_payables, tenant):
    assert {verdict.expectation for verdict in failed_payables[tenant]} == BROKEN_PAYABLES[tenant][0]


def test_tenants_whose_payments_are_good_go_on(failed_batches, failed_payables):
    assert "good" not in failed_batches and "good" not in failed_payables
    assert {verdict.severity for verdict in failed_payables["blocked"]} == {"warning"}


PAID = [
    decided("p-1", "100.25"), decided("p-2", "0.75"), decided("p-3", "50", currency="GBP"), decided("p-4", "7", due=None, terms="immediate"),
    decided("p-5", "1200", currency="JPY"), decided("c-1", "-0.25", document_type="credit_note"), decided("late", due="2027-01-01"),
    decided("lost", vendor_id="nobody"), decided("done"),
]  # fmt: skip


@pytest.fixture(scope="module")
def staged(spark, shared_home):
    """A run of one tenant up to its staged rows and files."""
    owners = {ALPHA: (payer(), policy(credit_notes="net"))}
    before = [instructed("done")]
    plan = planned(spark, PAID, [vendor()], owners, before)
    root, day, paying = (
        str(shared_home / "documents"),
        date(2026, 7, 1),
        transforms.payers(spark, [payer()], {ALPHA: policy()}, WEDNESDAY_MORNING),
    )

    def stood(rows, name):  # as a run stages it
        rows.write.parquet(str(shared_home / "staged" / name))
        return spark.read.parquet(str(shared_home / "staged" / name))

    outcomes = stood(plan.select(*transforms.OUTCOME), "outcomes")
    paid = stood(transforms.lines(outcomes, table_of(spark, VENDORS, [vendor()]), paying, CREATED), "lines")
    instructions = stood(transforms.instructions(paid, day), "instructions")
    written = stood(files.write(paid, root, CREATED), "written")
    return {
        "root": root, "written": written, "outcomes": outcomes, "instructions": instructions, "paid": paid,
        "batches": stood(transforms.batches(instructions, outcomes, written, day), "batches"),
        "accepted": accepted(spark, PAID), "before": table_of(spark, PAYMENT_INSTRUCTIONS, before), "paying": paying,
        "days": transforms.business_days(spark, [payer()], {ALPHA: policy()}, WEDNESDAY_MORNING),
    }  # fmt: skip


def payables_of(staged, instructions):
    return transforms.payables_account(staged["accepted"], staged["outcomes"], staged["before"], instructions)


def test_there_is_one_batch_and_one_file_per_currency_method_and_day(staged):
    told = collected(staged["batches"], "currency", "method", "value_date", "instruction_count", "control_sum")
    day = date(2026, 7, 6)
    assert told == sorted(
        [
            ("EUR", "sepa", day, 2, "100.75"),
            ("GBP", "transfer", day, 1, "50"),
            ("JPY", "transfer", day, 1, "1200"),
            ("EUR", "immediate", date(2026, 7, 1), 1, "7"),
        ],
        key=repr,
    )
    assert len(list(Path(staged["root"]).rglob("*.xml"))) == 4


def test_the_stored_hash_is_that_of_the_file_and_writing_again_changes_no_byte(staged):
    told = dict(collected(staged["written"], "batch_id", "content_sha256"))
    again = files.write(staged["paid"].repartition(3), f"{staged['root']}-again", CREATED)
    assert dict(collected(again, "batch_id", "content_sha256")) == told
    for batch, sha in told.items():
        content = Path(files.below(staged["root"], ALPHA, files.file_name(batch))).read_bytes()
        assert hashlib.sha256(content).hexdigest() == sha and pain.found(content).problem == ""
    assert not list(Path(staged["root"]).rglob("*.part"))


def test_what_a_run_stages_passes_its_gates(spark, staged):
    found = files.read_back(staged["batches"], staged["root"])
    account = transforms.batches_account(
        staged["batches"],
        staged["instructions"],
        found,
        table_of(spark, PAYMENT_BATCHES, []),
        staged["paying"],
        staged["days"],
    )
    assert failures(judged("payment_planning", "batches", account, [ALPHA])) == {}
    payables = payables_of(staged, staged["instructions"])
    assert {v.expectation for v in failures(judged("payment_planning", "instructions", payables, [ALPHA]))[ALPHA]} == {
        "no accepted payable waits: vendor_unknown"
    }
    sums = payables.agg(
        *(
            F.sum(name).alias(name)
            for name in ("accepted_amount", "before_amount", "now_amount", "not_due_amount", "waiting_amount")
        )
    )
    accepted, *parts = (Decimal(value) for value in collected(sums)[0])
    assert accepted == sum(parts) == Decimal("1657.75")


def test_an_instruction_that_vanishes_or_a_file_that_is_changed_is_caught(spark, staged, tmp_path):
    lost = staged["instructions"].where("payable_id <> 'p-2'")
    payables = payables_of(staged, lost)
    assert NUMBER in {v.expectation for v in failures(judged("payment_planning", "instructions", payables, [ALPHA]))[ALPHA]}
    for place in Path(staged["root"]).rglob("*.xml"):
        copy = tmp_path / place.relative_to(staged["root"])
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(place.read_bytes().replace(b">100.00<", b">100.01<"))
    found = files.read_back(staged["batches"], str(tmp_path))
    account = transforms.batches_account(
        staged["batches"],
        staged["instructions"],
        found,
        table_of(spark, PAYMENT_BATCHES, []),
        staged["paying"],
        staged["days"],
    )
    assert {v.expectation for v in failures(judged("payment_planning", "batches", account, [ALPHA]))[ALPHA]} == {
        PAYMENTS, "the stored hash is the file's",
    }  # fmt: skip


def test_ids_follow_from_the_payable_and_a_batch_from_everything_its_file_says(spark, staged):
    told = collected(staged["paid"], "payable_id", "instruction_id", "end_to_end_id")
    ids = {payable: (instruction, name) for payable, instruction, name in told}
    assert all(name == instruction[:35].upper() for payable, (instruction, name) in ids.items() if payable != "c-1")
    assert ids["c-1"][1] == ids["p-1"][1] and ids["c-1"][0] != ids["p-1"][0]
    elsewhere = table_of(spark, VENDORS, [vendor(iban=BRITISH)])
    moved = transforms.lines(staged["outcomes"], elsewhere, staged["paying"], CREATED)
    assert {row[1:] for row in told} == {
        row[1:] for row in collected(moved, "payable_id", "instruction_id", "end_to_end_id")
    }
    an_hour_later = transforms.lines(
        staged["outcomes"], table_of(spark, VENDORS, [vendor()]), staged["paying"], CREATED + timedelta(hours=1)
    )
    for other in (moved, an_hour_later):
        assert not {*collected(other, "batch_id")} & {*collected(staged["paid"], "batch_id")}
