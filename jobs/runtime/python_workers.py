"""What Spark starts its Python workers from: the installed package, which set-up has compiled.

Spark names the same package as a zip first, and a worker that imports it from there compiles it anew, each by itself.
Run by the server as `python -m jobs.runtime.python_workers` (spark.python.daemon.module).
"""

import sys

sys.path[:] = [entry for entry in sys.path if not entry.endswith("/pyspark.zip")]

from pyspark.daemon import manager  # noqa: E402  # by the path as it is now

if __name__ == "__main__":
    manager()
