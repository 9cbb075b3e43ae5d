"""What a fresh machine must have before anything is set up: Python 3.11 or 3.12, Java 17 or newer. Standard library only."""

import os
import re
import shutil
import subprocess
import sys


def java_problem() -> str | None:
    """What is wrong with Java here, in a sentence; None when all is well."""
    home = os.environ.get("JAVA_HOME")
    java = os.path.join(home, "bin", "java") if home else shutil.which("java")
    if not java or not os.path.exists(java):
        return "no Java was found (neither JAVA_HOME nor PATH)"
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    found = re.search(r'version "(\d+)', said)
    if not found or int(found.group(1)) < 17:
        return f"Java {found.group(1) if found else '?'} was found"
    return None


def main() -> int:
    """0 when the machine will do; otherwise 2, with a sentence."""
    if not (3, 11) <= sys.version_info[:2] < (3, 13):
        version = ".".join(map(str, sys.version_info[:2]))
        sys.stderr.write(
            f"Counting House needs Python 3.11 or 3.12; this is {version}. Nothing was installed. "
            "Point PYTHON at another one: make run PYTHON=python3.12\n"
        )
        return 2
    if problem := java_problem():
        sys.stderr.write(
            f"Counting House needs Java 17 or newer; {problem}. Nothing was installed. "
            "Install one (Debian: openjdk-17-jre-headless) or point JAVA_HOME at it.\n"
        )
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
