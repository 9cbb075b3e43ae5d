"""A verb on a cluster: spark-submit of the packages as a zip, by the Spark provider's hook, and the answer to it.

The answer travels as a file below the warehouse, because in cluster mode the driver is on another machine than the task.
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.runtime import config, errors, faults, spark_server, storage
from jobs.runtime.environment import warehouse
from jobs.runtime.errors import CountingHouseError, RunBroke
from jobs.runtime.ops import TableVersion

if TYPE_CHECKING:
    from jobs.runtime.contract import Invocation, Outcome

APPLICATION = config.ROOT / "jobs" / "runtime" / "submitted.py"
CONNECTION = "spark_default"


def packages() -> Path:
    """The zip of `make zip`: a zip, because Python workers cannot import from a wheel."""
    return Path(os.environ.get("COUNTINGHOUSE_ZIP") or config.ROOT / "build" / "countinghouse.zip")


def submit(verb: str, invocation: Invocation) -> Outcome:
    """Run a verb by spark-submit, with the Airflow connection `spark_default`, and hand back how it ended."""
    from airflow.providers.apache.spark.hooks.spark_submit import SparkSubmitHook

    if not packages().exists():
        raise RunBroke(f"{config.display(packages())} does not exist. Nothing was submitted. Make it with `make zip`.")
    place = f"{warehouse()}/_answers/{invocation.run_id}/{verb}-{os.urandom(4).hex()}.json"
    jars = [spark_server.jar_folder() / name for name in spark_server.JARS]
    passed_on = ("COUNTINGHOUSE_ENVIRONMENT", faults.KILL_AT)
    surroundings = {name: os.environ[name] for name in passed_on if name in os.environ} | {
        "COUNTINGHOUSE_HOME": str(config.home()),
        "COUNTINGHOUSE_CONF": str(config.conf_roots()[0]),
    }
    try:
        remote = SparkSubmitHook.get_connection(CONNECTION).extra_dejson.get("deploy-mode") == "cluster"
        hook = SparkSubmitHook(
            conn_id=CONNECTION,
            name=f"{invocation.run_id}.{verb}",
            py_files=str(packages()),
            jars=",".join(str(jar) for jar in jars if jar.exists()) or None,
            conf=spark_server.spark_conf(),
            application_args=[verb, json.dumps(asdict(invocation), default=dict), place],
            env_vars=surroundings if remote else None,
        )
        if remote:
            hook.submit(str(APPLICATION))
        else:
            hook.submit(str(APPLICATION), env=_driver_here() | surroundings)
    except Exception as error:
        told = str(error)
        ended = re.search(r"Error code is: (\d+)", told)  # the hook begins with the whole command
        reason = f"exit code {ended[1]}" if ended else (told.splitlines() or [""])[0][:200]
        raise RunBroke(f"spark-submit of {invocation.run_id} {verb} failed ({reason}). See the lines above.") from None
    if not storage.exists(place):
        raise RunBroke(f"{invocation.run_id} {verb}: the cluster gave no answer. See the driver's log.")
    return read_answer(json.loads(storage.read_text(place)))


def _driver_here() -> dict[str, str]:
    """The surroundings of a driver on this machine: this task's Python, and its spark-submit where PATH names no other."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)))
    return {"PYSPARK_DRIVER_PYTHON": sys.executable} | spark_server.unmarked() | {"PATH": path}


def answer(verb: str, invocation: Invocation) -> dict[str, Any]:
    """Perform a verb, and put how it ended into plain JSON."""
    from jobs.runtime.verbs import perform

    try:
        return {"outcome": asdict(perform(verb, invocation))}
    except CountingHouseError as error:
        return {"error": type(error).__name__, "message": error.message}


def read_answer(told: dict[str, Any]) -> Outcome:
    """The outcome of an answer; raises the error that it tells of."""
    from jobs.runtime.contract import Outcome

    if "error" in told:
        raise getattr(errors, told["error"], RunBroke)(told["message"])
    outcome = told["outcome"]
    return Outcome(**(outcome | {"tables": tuple(TableVersion(**table) for table in outcome["tables"])}))
