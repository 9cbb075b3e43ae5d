"""Resolve the jars once, check them, and put them into .jars/; afterwards everything works offline.

Two are Delta's, one sets permissions of local files without starting a process for each (docs/decisions/0004-spark-server.md), two
hold the official rule sets of electronic invoices (docs/documents.md), of which only the stylesheets are read.
Spark's own Ivy fetches them from the central Maven repository. Without their POMs nothing else comes along: Delta needs no other
beside pyspark's own jars, and the others need none.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".jars"
PACKAGES = (
    "io.delta:delta-spark_4.2_2.13:4.4.0",
    "io.delta:delta-storage:4.4.0",
    "com.globalmentor:hadoop-bare-naked-local-fs:0.1.0",
    "com.helger.phive.rules:phive-rules-en16931:4.3.7",
    "com.helger.phive.rules:phive-rules-peppol:4.3.7",
)
SHA256 = {
    "io.delta_delta-spark_4.2_2.13-4.4.0.jar": "27d4fd8b1f879535c573ed1c718177d6a27f24d3e626ba02e216369725721ead",
    "io.delta_delta-storage-4.4.0.jar": "c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc",
    "com.globalmentor_hadoop-bare-naked-local-fs-0.1.0.jar": "e0cc30fb0531eb0b59468dc0abf5b257533d2365b5e9f45e795edd707aa78c62",
    "com.helger.phive.rules_phive-rules-en16931-4.3.7.jar": "842998fe45911442b711300ab251e46489a9a5e2ffc02ddefc4293f8784c2662",
    "com.helger.phive.rules_phive-rules-peppol-4.3.7.jar": "c82aaeda5ca16166034421393d160ec6cf77460b16e027eecc4bb5fe67a552ce",
}
SETTINGS = """<ivysettings>
  <settings defaultResolver="central"/>
  <resolvers><ibiblio name="central" m2compatible="true" usepoms="false"/></resolvers>
</ivysettings>
"""


def wrong() -> list[str]:
    """The jars that are missing or not what they should be."""
    return [
        name
        for name, expected in SHA256.items()
        if not (FOLDER / name).exists() or hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() != expected
    ]


def main() -> int:
    """0 when all jars stand in .jars/ with their checksums."""
    if not wrong():
        return 0
    import pyspark

    spark_home = Path(pyspark.__file__).parent
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "ivysettings.xml").write_text(SETTINGS)
        (Path(scratch) / "nothing.py").write_text("")
        done = subprocess.run(
            [
                str(spark_home / "bin" / "spark-submit"),
                *("--packages", ",".join(PACKAGES)),
                *("--conf", f"spark.jars.ivySettings={scratch}/ivysettings.xml"),
                *("--conf", f"spark.jars.ivy={scratch}/ivy"),
                *("--conf", "spark.ui.enabled=false"),
                f"{scratch}/nothing.py",
            ],
            env=os.environ | {"SPARK_HOME": str(spark_home), "SPARK_LOCAL_IP": "127.0.0.1"},
            capture_output=True,
            text=True,
            check=False,
        )
        FOLDER.mkdir(exist_ok=True)
        for name in SHA256:
            found = Path(scratch) / "ivy" / "jars" / name
            if found.exists():
                (FOLDER / name).write_bytes(found.read_bytes())
    if missing := wrong():
        sys.stderr.write(
            f"The jars could not be resolved or do not have the expected checksum: {', '.join(missing)}. "
            f"Nothing else was changed. Is the central Maven repository reachable?\n{done.stderr[-2000:]}\n"
        )
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
