"""python -m jobs.runtime: the console, where its script is not installed."""

from jobs.runtime.cli import main

main()
