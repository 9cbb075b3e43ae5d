"""# Cash application

Every day, bank statements are landed, posted and matched: `ingestion`, then `ledger_posting_receipts` (money in and out as
the statement has it), then `cash_matching` (which receipt pays which documents), then `ledger_posting` (what was applied).
Each writes candidates, has them judged (`audit`) and publishes what passed.

**When.** At 06:00 UTC, for the day before. The run is named after its day: the partition key `2026-10-31` takes the receipts
booked until that day that still have money left. A missed day costs nothing: the next run takes its receipts too.

**What you get.** `cash.applications`, `cash.unapplied` with a reason for each receipt, ranked `cash.suggestions` for a
person; entries in the journal and `ledger.open_items` of the month. A receipt is in the books before anybody knows what it
pays, so that no error of the matcher keeps cash out of them.

## When something is red

Every message ends with what to do. What passed is published and stays. After the cause is mended, **clear one task**: the
`write` of the first stage that is not green, *with downstream*.

- `audit` is red, `publish` green: a gate held the tenants that its log names; all others went on. **Do:** mend what the log
  names, then clear `write` of that stage with downstream.
- *rows of a statement are quarantined*, the closing balance is not opening plus entries: the statement is incomplete. **Do:**
  ask the bank for it again, land it, run this DAG again.
- *an entry has no legal entity*: a statement is of an account that no legal entity declares. **Do:** add the account to
  `conf/tenants/<tenant>.yaml`, then clear `write` of `ledger_posting_receipts` with downstream.
- a receipt is *frozen*: what was applied stays applied. **Do:** nothing here; a wrong application is reversed by a new one.
- the customer paid a wrong price: the receipt stands in `cash.unapplied` with suggestions. **Do:** a person decides.
- `publish` failed or its worker died half-way: readers still see the old state. **Do:** clear `write` of that stage with
  downstream: it rolls the publication forward first.
- *another run went first*: two days ran at once; the later one is done again by itself. **Do:** nothing.
- `whole` is red: it repeats which of the above happened, and which task to clear.

## Backfill

One day takes everything booked until then, so a history needs one run a month at most: trigger the last day. For single
days: this page, **Trigger**, card **Backfill**, or

```
airflow backfill create --dag-id cash_application --from-date 2026-10-01 --to-date 2026-10-31
```

Without Airflow's scheduler: `airflow dags test cash_application --conf '{"period": "2026-10-31"}'`.

## Exit codes of `countinghouse run`

0 done · 1 a gate or a policy said no · 2 the call or the configuration is wrong · 3 the run broke. Here, 1 and 2 fail at
once (a missing upstream waits first), 3 is tried once more.
"""

from pathlib import Path

import pendulum
from airflow.sdk import dag

from jobs.runtime.dag_tasks import daily, params, process
from jobs.stages import CASH_MATCHING, INGESTION, LEDGER_POSTING


@dag(
    dag_id=Path(__file__).stem,
    description="Bank statements to applied and unapplied cash, and suggestions for a person",
    schedule=daily(hour=6),
    start_date=pendulum.datetime(2010, 12, 1, tz="UTC"),  # fixed, and before any history that may be backfilled
    catchup=False,
    max_active_runs=1,  # a day goes on from the day before
    doc_md=__doc__,
    params=params("day"),
    tags=["cash", "daily"],
)
def cash_application() -> None:
    """Wire the stages of a day."""
    process((INGESTION, (LEDGER_POSTING, "receipts"), CASH_MATCHING, LEDGER_POSTING))


cash_application()
