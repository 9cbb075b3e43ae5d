"""The packages as a zip for spark-submit (`make zip`): never a wheel, Python workers cannot import from one.

The lock travels with them: verbs.code_version is a hash over it and the sources, and must be the same wherever they run.
"""

import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("jobs", "expectations")
BESIDE = ("requirements.lock",)
EARLIEST = (1980, 1, 1, 0, 0, 0)  # one moment for every entry, so that equal sources are equal zips


def write(target: Path, root: Path = ROOT) -> Path:
    """Zip the packages below `root`; a reader of `target` never finds half a zip."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}")
    found = [path for package in PACKAGES for path in (root / package).rglob("*") if "__pycache__" not in path.parts]
    with zipfile.ZipFile(unfinished, "w") as whole:
        for path in [*(root / name for name in BESIDE), *sorted(found)]:
            if path.is_file():
                entry = zipfile.ZipInfo(path.relative_to(root).as_posix(), EARLIEST)
                whole.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return unfinished.replace(target)


if __name__ == "__main__":
    sys.stdout.write(f"{write(ROOT / 'build' / 'countinghouse.zip').relative_to(ROOT)}\n")
