# `make run` starts the app, `make test` checks everything; both install what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

PINS ?=

.PHONY: help run dev demo test test-long lint e2e swap unit integration chaos-short bench chaos failover soak pins clean

help:  ## Say what there is
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

run: $(VENV)/.run  ## Start the app on http://localhost:3000 (PORT)
	$(BIN)/python -m realtime_ui serve

dev: $(VENV)/.run  ## Start it for building pages: reloads, two ports
	$(BIN)/python -m realtime_ui serve --dev

demo: $(VENV)/.run  ## Send lifelike traffic (REALTIME_API_KEY)
	$(BIN)/python -m realtime_ui demo

test: lint browser redis  ## Check everything: lint, types, walls, all tests
	@$(MAKE) --no-print-directory --jobs=3 --output-sync=target e2e integration chaos-short swap unit  # they mostly wait

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

.PHONY: browser
browser: $(VENV)/.test
	$(BIN)/python -m tests.chromium

.PHONY: redis
redis: $(VENV)/.test
	$(BIN)/python -m tests.valkey

VENDORS := tests/vendors/node_modules/.installed
$(VENDORS): tests/vendors/package.json tests/vendors/bun.lock $(VENV)/.test
	$(BIN)/bun install --silent --frozen-lockfile --cwd tests/vendors
	@touch $@

e2e: $(VENV)/.test browser  ## The tests with browsers
	$(BIN)/python -m pytest tests/e2e --ignore=tests/e2e/test_swap.py

swap: $(VENV)/.test browser  ## The same page on every provider, and while each is away
	$(BIN)/python -m pytest tests/e2e/test_swap.py

chaos-short: $(VENV)/.test browser  ## The chaos run and the soak in their short forms
	$(BIN)/python -m pytest tests/chaos

integration: $(VENV)/.test redis $(VENDORS)  ## The tests with databases, servers and processes
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile tests/integration

unit: $(VENV)/.test redis $(VENDORS)  ## The tests of parts, and of what all providers must do
	$(BIN)/bun test --timeout 60000 tests/unit
	$(BIN)/python -m pytest tests/unit tests/conformance

test-long: $(VENV)/.test $(VENDORS) browser  ## The long forms of tests, up to an hour
	$(BIN)/python -m pytest tests/long

bench: $(VENV)/.test browser  ## Measure against the contenders
	$(BIN)/python -m bench

pins: $(VENV)/.test  ## Compile requirements*.txt anew (PINS="--upgrade-package NAME" takes a newer one)
	$(BIN)/python -m tests.pins $(PINS)

chaos: $(VENV)/.test browser  ## Kill, freeze and cut everything for 20 minutes (CHAOS_SECONDS, CHAOS_SEED)
	$(BIN)/python -m tests.chaos

failover: $(VENV)/.test browser  ## Switch between two PostgreSQL, with loss and without, under traffic
	$(BIN)/python -m tests.chaos.failover

soak: $(VENV)/.test  ## Open and close 200 tabs for 30 minutes (SOAK_SECONDS, SOAK_TABS)
	$(BIN)/python -m tests.chaos.soak

clean:  ## Remove what was built
	rm -rf $(VENV) .web

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version) if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

$(VENV)/.test: requirements.txt requirements-dev.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@ $(VENV)/.run
