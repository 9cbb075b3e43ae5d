"""# Ingest

Lands what tenants have dropped into `landing/<tenant>/<feed>/`: every row is accepted into a raw table, or quarantined
with all its reasons, or counted as an exact repetition. Nothing vanishes and nothing is refused in silence.

**When.** On the first of each month at 12:00 UTC, for the month before; `monthly_billing` starts at the same time and
waits. A run takes **every complete file that has not been delivered before**, whatever month its rows belong to: the
month names the run, the rows decide which months of `raw.usage` change. Run it as often as files arrive; without new
files it writes nothing and is green.

## When something is red

- `audit` is red, `publish` green: the account of a tenant's files does not add up; that tenant is held, the others
  landed. **Do:** look at `raw.quarantine` and `raw.landed_files` of the tenant, mend the file or its mapping, clear
  `ingestion.write` with downstream.
- `publish` is red: *every tenant is held*: the same, for all tenants of the run. **Do:** the same.
- a file *refused, same content as ...* in the log of `write`: it was delivered before under another name. **Do:**
  nothing; its sender may want to know.
- a file *refused, it cannot be read*: another encoding or format than its mapping says. **Do:** mend
  `conf/tenants/<tenant>.yaml` and replay the file (below), or ask for the file again.
- rows in `billing.waiting`: usage of a month that is invoiced, hence frozen. **Do:** nothing here: it becomes an
  adjustment in the open month.
- `ConfigError`: a file of `conf/` is wrong; the message names file, key and nearest valid name. **Do:** `make
  check-conf`, mend it, clear `ingestion.write` with downstream.
- `publish` failed or its worker died half-way: readers still see the old state. **Do:** clear `ingestion.write` with
  downstream: it rolls the publication forward first.
- `RunBroke`: no Java, no disk, no server; tried once more by itself. **Do:** mend the machine, clear `ingestion.write`
  with downstream.

**Prices.** A price list that came late is landed like any file; then clear `billing_aggregation.write` of the month in
`monthly_billing`.

**Replay.** After a mapping was mended, trigger with `replay` = `<tenant>/<feed>/<file name>` and a reason. The file is
read again under the new mapping, its rows replace those it brought before.

## Backfill

Old files need no backfill of old months: drop them all and run once. To give every month a run of its own name, make a
backfill before that of `monthly_billing`: this page, **Trigger**, card **Backfill**, from the first day of the first
month to the last day of the last; or

```
airflow backfill create --dag-id ingest --from-date 2011-01-01 --to-date 2011-03-31 \\
    --dag-run-conf '{"reason": "history of 2011"}'
```

One run without Airflow's scheduler: `airflow dags test ingest --conf '{"period": "2011-01"}'`.

## Exit codes of `countinghouse run`

0 done · 1 a gate or a policy said no · 2 the call or the configuration is wrong · 3 the run broke. Here, 1 and 2 fail at
once, 3 is tried once more.
"""

from pathlib import Path

import pendulum
from airflow.sdk import Param, dag

from jobs.runtime.dag_tasks import monthly, params, process
from jobs.stages import INGESTION


@dag(
    dag_id=Path(__file__).stem,
    description="Landing files to raw tables, every row accepted, quarantined or counted",
    schedule=monthly(hour=12),
    start_date=pendulum.datetime(2010, 12, 1, tz="UTC"),  # fixed, and before any history that may be backfilled
    catchup=False,
    max_active_runs=1,  # two runs would look at the same files
    doc_md=__doc__,
    params=params(
        replay=Param(
            None, type=["null", "string"], title="Replay", description="tenant/feed/file name, after its mapping was mended"
        )
    ),
    tags=["ingestion", "monthly"],
)
def ingest() -> None:
    """Wire the one stage."""
    process((INGESTION,))


ingest()
