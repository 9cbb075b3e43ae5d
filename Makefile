# Counting House. `make help` lists what there is; every target does all it needs on a fresh machine.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONPATH := $(CURDIR)
STAMP := $(VENV)/.ready
SOURCES := jobs expectations dags tests

.DEFAULT_GOAL := help
.PHONY: help setup check-machine run test test-slow test-ui test-faults test-real check-documents lint format bench airflow sql check-conf status report zip lock clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk 'BEGIN {FS = ":.*## "} {printf "  make %-14s %s\n", $$1, $$2}'

check-machine:
	@$(PYTHON) scripts/check_machine.py

setup: check-machine $(STAMP) ## Everything the others need: a virtual environment from the lock, Delta's jars, the official rules

$(STAMP): requirements.lock scripts/jars.py pyproject.toml
	@echo "setting up (once): packages from requirements.lock, then Delta's jars and the official rules ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode requirements.lock
	@$(BIN)/python -m ensurepip --default-pip > /dev/null 2>&1 || true
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation-package none --editable .
	@$(BIN)/python -m compileall -q $(SOURCES)
	@$(BIN)/python scripts/jars.py
	@touch $(STAMP)

run: setup ## Three simulated months through Airflow: files to posted invoices, then the figures beside the truth
	@$(BIN)/countinghouse rehearse

test: setup ## The tests that hold on every commit (twelve minutes at most on two cores)
	@$(BIN)/python -m pytest tests --ignore=tests/ui --ignore=tests/faults --ignore=tests/real --ignore=tests/benchmarks -m "not slow" $(ARGS)

test-slow: setup ## Whole runs of several stages on one home, vectors through the stages, a server of its own, large real files
	@$(BIN)/python -m pytest tests --ignore=tests/ui --ignore=tests/faults --ignore=tests/real --ignore=tests/benchmarks -m slow $(ARGS)

test-ui: setup ## In headless Chromium: three months backfilled, and a red one mended, through the Airflow UI
	@$(BIN)/python -m pytest tests/ui $(ARGS)

test-faults: setup ## Processes killed between every two commits, and a stage by spark-submit: both end as on any other day
	@$(BIN)/python -m pytest tests/faults $(ARGS)

test-real: setup ## Thirteen months of a real retailer by one backfill, every figure recomputed from its files
	@$(BIN)/python -m pytest tests/real $(ARGS)

check-documents: setup ## After make run: every file of its documents by the official rules, not only the sampled share
	@for month in 2026-01 2026-02 2026-03; do $(BIN)/countinghouse validate-documents --period $$month || exit 1; done

lint: setup ## What reviewers need not look for: ruff, format, mypy
	@$(BIN)/ruff check $(SOURCES) scripts
	@$(BIN)/ruff format --check $(SOURCES) scripts
	@$(BIN)/mypy jobs expectations

format: setup ## Put the sources into shape
	@$(BIN)/ruff check --fix --quiet $(SOURCES) scripts
	@$(BIN)/ruff format $(SOURCES) scripts

bench: setup ## 20 million usage rows, beside DuckDB on the same files
	@$(BIN)/python -m tests.benchmarks.bench $(ARGS)

airflow: setup ## The Airflow UI on loopback with the Spark server beside it; Ctrl-C stops everything
	@$(BIN)/countinghouse airflow

sql: setup ## A Spark SQL shell over every published table, with time travel
	@$(BIN)/countinghouse sql

check-conf: setup ## Validate conf/ as a run would read it
	@$(BIN)/countinghouse check-conf

status: setup ## Periods, last runs, gates, quarantine, and what waits for a person
	@$(BIN)/countinghouse status

report: setup ## Write the HTML report again
	@$(BIN)/countinghouse report

zip: ## The packages as a zip for spark-submit on a cluster (never a wheel: Python workers cannot import from one)
	@$(PYTHON) scripts/packages.py

lock: setup ## Resolve pyproject.toml into requirements.lock again
	@$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet -o requirements.lock

clean: ## Remove the default home (./var): its landing, tables, reports and Airflow database
	@rm -rf var build artifacts
