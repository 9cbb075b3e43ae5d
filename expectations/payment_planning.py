"""What payment planning promises: a payable is paid once, to the last digit, and a bank file says exactly what its batch says."""

from __future__ import annotations

from great_expectations import ExpectationSuite

from expectations.promises import no_rows, suite, unique
from jobs.payment_planning.transforms import REASONS


def batches() -> ExpectationSuite:
    """Over batches beside their instructions and their files: one row per batch."""
    return suite(
        "payment_planning.batches",
        [
            unique("a batch stands once", ("tenant_id", "batch_id"), "batch_id", "A batch that stands twice is paid twice."),
            unique(
                "one batch per legal entity, currency, method and value date",
                ("tenant_id", "legal_entity_id", "currency", "method", "value_date"),
                "batch_id",
                "A second file for the same payments invites the bank to carry out both.",
            ),
            no_rows(
                "a batch has no file from an earlier run",
                "known_before = 1",
                "batch_id",
                "Never two files for one batch: the bank may carry out both.",
            ),
            no_rows(
                "a batch = its instructions",
                "instruction_count IS DISTINCT FROM instructions_found OR control_sum IS DISTINCT FROM instructions_sum "
                "OR kinds_of_instruction IS DISTINCT FROM 1",
                "batch_id",
                "The books would say another sum than the bank is told to pay.",
            ),
            no_rows(
                "a batch pays something",
                "instruction_count < 1 OR control_sum <= 0",
                "batch_id",
                "A bank refuses a file that pays nothing, and with it those sent beside it.",
            ),
            no_rows(
                "a file is valid by the schema of pain.001.001.09",
                "file_problem IS NOT NULL OR file_sha256 IS NULL",
                "concat(batch_id, ' ', coalesce(file_problem, 'there is no file'))",
                "The bank would refuse it, and vendors would not be paid.",
            ),
            no_rows(
                "a file's control totals = its batch",
                "group_count IS DISTINCT FROM instruction_count OR group_sum IS DISTINCT FROM control_sum "
                "OR info_count IS DISTINCT FROM instruction_count OR info_sum IS DISTINCT FROM control_sum",
                "batch_id",
                "The bank compares them too and refuses what does not agree.",
            ),
            no_rows(
                "a file's payments = its batch",
                "file_count IS DISTINCT FROM instruction_count OR file_sum IS DISTINCT FROM control_sum "
                "OR file_names IS DISTINCT FROM instruction_count",
                "batch_id",
                "Control totals that are right over payments that are not would hide a lost payment.",
            ),
            no_rows(
                "a file pays in its batch's currency, on its day, from its legal entity's account",
                "file_currency IS DISTINCT FROM currency OR file_value_date IS DISTINCT FROM CAST(value_date AS STRING) "
                "OR is_entitys_account IS DISTINCT FROM true OR file_message_id IS DISTINCT FROM left(batch_id, 35)",
                "batch_id",
                "Money would leave on another day or from another account than was decided.",
            ),
            no_rows(
                "the stored hash is the file's",
                "content_sha256 IS DISTINCT FROM file_sha256",
                "batch_id",
                "A file that is changed on its way to the bank could not be told.",
            ),
            no_rows(
                "a batch is settled on a business day that can still be reached",
                "is_business_day IS NULL OR value_date < earliest_day",
                "batch_id",
                "The bank would settle it on another day than the books say, or refuse it.",
            ),
        ],
    )


def instructions() -> ExpectationSuite:
    """Over accepted payables and staged instructions: one row per payable."""
    waiting = [
        no_rows(
            f"no accepted payable waits: {reason}",
            f"status = 'waiting' AND array_contains(reasons, '{reason}')",
            "payable_id",
            f"It stays unpaid until somebody acts: {what_to_do}.",
            severity="warning",
        )
        for reason, what_to_do in REASONS.items()
    ]
    return suite(
        "payment_planning.instructions",
        [
            no_rows(
                "a payable is paid at most once",
                "times_before + times_now > 1",
                "payable_id",
                "A vendor is paid twice, and seldom says so.",
            ),
            no_rows(
                "only what is accepted is paid",
                "times_now > 0 AND (accepted IS NULL OR still_accepted IS DISTINCT FROM true)",
                "payable_id",
                "An invoice that was held or rejected would be paid all the same.",
            ),
            no_rows(
                "the amount paid is the amount accepted, in its currency",
                "times_now > 0 AND (now_amount IS DISTINCT FROM accepted_amount OR paid_currency IS DISTINCT FROM currency)",
                "payable_id",
                "A vendor would get more or less than was decided.",
            ),
            no_rows(
                "accepted = instructed before + instructed now + not due yet + waiting, in number",
                "accepted = 1 AND CAST(times_before + times_now AS INT) + CAST(status <=> 'not due yet' AS INT) "
                "+ CAST(status <=> 'waiting' AS INT) <> 1",
                "payable_id",
                "An accepted invoice that is nowhere is never paid.",
            ),
            no_rows(
                "accepted = instructed before + instructed now + not due yet + waiting, in amount",
                "accepted = 1 AND coalesce(accepted_amount, 0) <> "
                "CASE WHEN times_before > 0 THEN coalesce(accepted_amount, 0) ELSE before_amount END "
                "+ now_amount + not_due_amount + waiting_amount",
                "payable_id",
                "Money would be lost between the decision and the bank.",
            ),
            no_rows(
                "what was instructed before is the amount that is accepted now",
                "times_before > 0 AND before_amount IS DISTINCT FROM accepted_amount",
                "payable_id",
                "Lines came in after it was paid: the rest is paid, or asked back, by hand.",
                severity="warning",
            ),
            no_rows(
                "what waits says why",
                "status = 'waiting' AND size(reasons) = 0",
                "payable_id",
                "Nobody could do anything about it.",
            ),
            no_rows(
                "a payment has an end-to-end id of its own",
                "times_now > 0 AND (name_length IS DISTINCT FROM 35 OR payments_of_that_name IS DISTINCT FROM 1)",
                "payable_id",
                "The bank's answer could not be told from that to another payment.",
            ),
            *waiting,
        ],
    )
