"""# Vendor payables

Every hour, vendor invoices are landed, validated and paid: `ingestion`, then `payable_validation` (accept, hold or reject,
with every reason), then `payment_planning` (payment batches and bank files), then `ledger_posting`. Each writes candidates,
has them judged (`audit`) and publishes what passed.

**When.** At every full hour UTC, for the hour before. The run is named after its hour: the partition key `2026-10-31T14`
takes the invoices received before 15:00 that were not finally decided yet, those on hold among them. A missed hour costs
nothing: the next run takes its invoices too.

**What you get.** `payables.decisions` and `payables.reasons`; `payables.payment_batches` with one file each in
`documents/<tenant>/payments/`; entries in the journal. A run that finds nothing new writes nothing and is green.

## When something is red

Every message ends with what to do. What passed is published and stays. After the cause is mended, **clear one task**: the
`write` of the first stage that is not green, *with downstream*.

- `audit` is red, `publish` green: a gate held the tenants that its log names; all others went on. **Do:** mend what the log
  names (a rule in `conf/rules/payables/`, a vendor, a purchase order), then clear `write` of that stage with downstream.
- an invoice is *on hold*: that is no error; its reasons stand in `payables.reasons`. **Do:** land what is missing (vendor,
  purchase order, price agreed); the next hour decides again by itself.
- a decision is *frozen*: accepted and rejected are final. **Do:** a new invoice or a credit note from the vendor.
- `publish` of `payment_planning` is red: no file was handed out. **Do:** read which check said no, mend, clear `write`.
- `write` waits, then says that nothing was published: files did not come. **Do:** nothing; the next hour looks again.
- `publish` failed or its worker died half-way: readers still see the old state, and no file is handed out twice. **Do:**
  clear `write` of that stage with downstream: it rolls the publication forward first.
- *another run went first*: two hours ran at once; the later one is done again by itself. **Do:** nothing.
- `whole` is red: it repeats which of the above happened, and which task to clear.

## Backfill

One hour takes everything received before its end, so a history needs one run, not one per hour: trigger the last hour. For
single hours: this page, **Trigger**, card **Backfill**, or

```
airflow backfill create --dag-id vendor_payables --from-date 2026-10-31T14:00:00 --to-date 2026-10-31T16:00:00
```

Without Airflow's scheduler: `airflow dags test vendor_payables --conf '{"period": "2026-10-31T14"}'`.

## Exit codes of `countinghouse run`

0 done · 1 a gate or a policy said no · 2 the call or the configuration is wrong · 3 the run broke. Here, 1 and 2 fail at
once (a missing upstream waits first), 3 is tried once more.
"""

from pathlib import Path

import pendulum
from airflow.sdk import dag

from jobs.runtime.dag_tasks import hourly, params, process
from jobs.stages import INGESTION, LEDGER_POSTING, PAYABLE_VALIDATION, PAYMENT_PLANNING


@dag(
    dag_id=Path(__file__).stem,
    description="Vendor invoices to decisions, payment batches and bank files",
    schedule=hourly(),
    start_date=pendulum.datetime(2010, 12, 1, tz="UTC"),  # fixed, and before any history that may be backfilled
    catchup=False,
    max_active_runs=1,  # an hour goes on from the hour before
    doc_md=__doc__,
    params=params("hour"),
    tags=["payables", "hourly"],
)
def vendor_payables() -> None:
    """Wire the stages of an hour."""
    process((INGESTION, PAYABLE_VALIDATION, PAYMENT_PLANNING, LEDGER_POSTING))


vendor_payables()
