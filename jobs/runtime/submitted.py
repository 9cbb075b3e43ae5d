"""What spark-submit starts: one verb, its answer written where the task that submitted it looks.

An answer is an ending, even one that says no; only a process that could not answer ends with an exit code other than 0.
"""

import json
import sys
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != here]  # spark-submit puts this folder first


def main(verb: str, invocation: str, place: str) -> None:
    """Perform the verb and write the answer."""
    from pyarrow import fs

    from jobs.runtime import submission
    from jobs.runtime.contract import Invocation

    asked = json.loads(invocation)
    told = submission.answer(verb, Invocation(**(asked | {"tenants": tuple(asked["tenants"])})))
    if "://" in place:
        filesystem, path = fs.FileSystem.from_uri(place)
    else:
        filesystem, path = fs.LocalFileSystem(), place
    filesystem.create_dir(path.rpartition("/")[0], recursive=True)
    with filesystem.open_output_stream(path) as stream:
        stream.write(json.dumps(told).encode())


if __name__ == "__main__":
    main(*sys.argv[1:])
