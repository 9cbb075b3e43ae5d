"""# Monthly billing

Turns one month of usage into charges, numbered invoices and a journal that balances: `billing_aggregation`, then
`invoice_generation`, then `ledger_posting`. At the end the lane `documents` of `invoice_generation` renders what was issued,
as UBL and PDF. Each writes candidates, has them judged (`audit`) and publishes what passed.

**When.** On the first of each month at 12:00 UTC, for the month before. The run is named after its month: the partition
key `2026-10` is October 2026. A month whose usage has not been ingested waits twice five minutes, then refuses and says
what is missing.

**What you get.** Every published table is an asset; its newest event says which month, Delta version and run. A run that
finds everything as it was writes nothing and is green.

**Approval.** Drafts that are far from what the months before came to (conf/invoice_generation.yaml, `issue_control`) are
not issued before a person has said so: `invoice_generation.approve` waits under **Required Actions**, and whoever has
triggered the run may not answer. A month within its limits asks nobody.

## When something is red

Every message ends with what to do. A red run has published what passed; nothing of that is undone or done again. After
the cause is mended, **clear one task**: the `write` of the first stage that is not green, *with downstream*.

- `audit` is red, `publish` green: a gate held the tenants that its log names; all others went on. **Do:** mend what the
  log names, then clear `write` of that stage with downstream.
- `publish` is red: *every tenant is held*: no tenant passed, so the stages after it did not start. **Do:** the same.
- *unpriced usage*, `amount is null`: a price is missing for a product, a region or a date. **Do:** land the price list,
  run `ingest`, clear `billing_aggregation.write` with downstream.
- `approved` is red: the drafts were rejected, approved by the one who asked, or by nobody. **Do:** what its log says.
- *... goes first*: an earlier month of the tenant is not invoiced yet. **Do:** run that month, then clear `write`.
- a unit *is frozen* in the log of `write`: the month was invoiced; issued documents never change. **Do:** nothing: late
  usage is billed as an adjustment by the open month, unless it is too old or too large; then `countinghouse status` says so.
- `write` waits, then *no usage ... was published*: `ingest` has not published that month. **Do:** run `ingest` for the
  month, then clear `write` with downstream.
- `invoice_generation_documents` is red: what was issued stands and is posted; only the files of the tenants that its log
  names are missing. **Do:** what the log says (a sign that no font has, a rule that fails), then clear its `write` with
  downstream: documents that have files are left alone.
- `publish` failed or its worker died half-way: readers still see the old state; nothing is half visible. **Do:** clear
  `write` of that stage with downstream: it rolls the publication forward first.
- *a newer attempt has taken over*: the month was run twice at once. **Do:** nothing, when the newer run is green.
- `RunBroke`: no Java, no disk, no server; tried once more by itself. **Do:** mend the machine, clear `write` with
  downstream.
- `whole` is red: it repeats which of the above happened, and which task to clear.

## Backfill

In the UI: this page, **Trigger**, card **Backfill**. The dates are days *of the months you want*: from the first day of
the first month to the last day of the last (2011-01-01 to 2011-03-31 are three runs). *Missing Runs* leaves months alone
that have a run; *All Runs* asks every month again, and months that have not changed are left as they are. To give a
reason (or tenants), fill it in **and tick *Override parameters on existing runs***: the form sends no params without it.

```
airflow backfill create --dag-id monthly_billing --from-date 2011-01-01 --to-date 2011-03-31 \\
    --reprocess-behavior completed --dag-run-conf '{"reason": "rates of Q1 corrected, ticket 4711"}'
```

Months are issued in order, so they run one after the other; with more *Max Active Runs* a month waits for the one before it
and then refuses. Add `--dry-run` to see the months first. Backfill
`ingest` before, if the months were never landed. `AIRFLOW_HOME` is `<home>/airflow` for these commands. One month without
Airflow's scheduler: `airflow dags test monthly_billing --conf '{"period": "2011-01"}'`.

## Exit codes of `countinghouse run`

0 done · 1 a gate or a policy said no · 2 the call or the configuration is wrong · 3 the run broke. Here, 1 and 2 fail at
once (a missing upstream waits first), 3 is tried once more.
"""

from functools import partial
from pathlib import Path

import pendulum
from airflow.sdk import dag

from jobs.runtime.dag_approval import approved_group
from jobs.runtime.dag_tasks import monthly, params, process
from jobs.stages import BILLING_AGGREGATION, INVOICE_GENERATION, LEDGER_POSTING


@dag(
    dag_id=Path(__file__).stem,
    description="Usage and prices of a month to charges, invoices and the ledger",
    schedule=monthly(hour=12),
    start_date=pendulum.datetime(2010, 12, 1, tz="UTC"),  # fixed, and before any history that may be backfilled
    catchup=False,
    max_active_runs=1,  # months are issued in order
    doc_md=__doc__,
    params=params(),
    tags=["billing", "monthly"],
)
def monthly_billing() -> None:
    """Wire the stages of a billed month."""
    issue = partial(approved_group, INVOICE_GENERATION, always=False)
    process((BILLING_AGGREGATION, issue, LEDGER_POSTING, (INVOICE_GENERATION, "documents")), graceful=True)


monthly_billing()
