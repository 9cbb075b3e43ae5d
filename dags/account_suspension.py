"""# Account suspension

Every day, accounts that do not pay are nominated by policy: `suspension_selection` writes who would be warned, suspended,
terminated or reinstated, with the invoices that count, has it judged (`audit`), asks a person (`approve`), checks who has
answered (`approved`) and publishes.

**When.** At 07:00 UTC, for the day before. The run is named after its day, which is also the day the debts are looked at:
`2026-10-31`. It needs the same day's `cash_application` to be published, waits for it twice five minutes, then refuses.

**What you get.** `suspension.candidates` of the day and the changes of `suspension.account_states`. A run that finds
everything as it was writes nothing, asks nobody and is green.

## Approval

`approve` waits for a person: this run, **Required Actions**, Approve or Reject. Whoever has triggered the run may not
approve it; a scheduled run may be approved by anybody. Marking the task green by hand is no answer, `approved` says so.

## When something is red

Every message ends with what to do. What passed is published and stays. After the cause is mended, **clear one task**: the
`write` of the stage, *with downstream*.

- `audit` is red: a gate held the tenants that its log names, for instance because too large a share of accounts would be
  touched at once; the question is asked for the others. **Do:** look whether cash or a price is missing, mend, clear `write`.
- `approved` is red: it was rejected, answered by the one who asked, or by nobody. **Do:** what its log says.
- an account is on *hold*: money that could cover its debt is not applied yet; the candidate names it. **Do:** apply it.
- a day is *frozen*: states that were published stay; they change by a later day. **Do:** land the dispute, promise or
  exemption and run the next day.
- `write` waits, then says that `cash_application` of the day was not published. **Do:** run it, then clear `write`.
- `publish` failed or its worker died half-way: readers still see the old state. **Do:** clear `write` with downstream.
- `whole` is red: it repeats which of the above happened, and which task to clear.

## Backfill

This page, **Trigger**, card **Backfill**; every day of a backfill asks for its own approval. Or

```
airflow backfill create --dag-id account_suspension --from-date 2026-10-01 --to-date 2026-10-31
```

Without Airflow's scheduler there is nobody to ask, so `airflow dags test account_suspension` publishes nothing, except in a
home that is marked as simulated.

## Exit codes of `countinghouse run`

0 done · 1 a gate or a policy said no · 2 the call or the configuration is wrong · 3 the run broke. Here, 1 and 2 fail at
once (a missing upstream waits first), 3 is tried once more.
"""

from functools import partial
from pathlib import Path

import pendulum
from airflow.sdk import dag

from jobs.runtime.dag_approval import approved_group
from jobs.runtime.dag_tasks import daily, params, process
from jobs.stages import SUSPENSION_SELECTION


@dag(
    dag_id=Path(__file__).stem,
    description="Overdue receivables to suspension, termination and reinstatement, approved by a person",
    schedule=daily(hour=7),
    start_date=pendulum.datetime(2010, 12, 1, tz="UTC"),  # fixed, and before any history that may be backfilled
    catchup=False,
    max_active_runs=1,  # a day goes on from the day before
    doc_md=__doc__,
    params=params("day"),
    tags=["suspension", "daily"],
)
def account_suspension() -> None:
    """Wire the one stage."""
    process((partial(approved_group, SUSPENSION_SELECTION),))


account_suspension()
