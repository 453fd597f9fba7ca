# The two commands of the README are `make demo` and `make test`; the rest serves development.
# Everything is installed into .venv from constraints.txt; nothing outside of this folder is changed but
# the caches of the package managers and Runstone's own cache (Kafka's jars and its ahead-of-time cache).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test setup lint unit integration acceptance bench-setup bench clean

$(VENV)/.ready: pyproject.toml constraints.txt
	@echo "runstone: installing into $(VENV) (a minute or two, once)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "runstone: $(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on --constraint constraints.txt --editable '.[dev]'
	@touch $@

setup: $(VENV)/.ready
	@$(BIN)/python -m runstone_local.fetch

demo: setup
	@$(BIN)/python examples/demo.py

test: setup lint
	@$(BIN)/python -m pytest -p no:randomly tests/unit tests/contract tests/integration tests/acceptance

lint: $(VENV)/.ready
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

unit: $(VENV)/.ready
	@$(BIN)/python -m pytest tests/unit tests/contract

integration: setup
	@$(BIN)/python -m pytest tests/integration

acceptance: setup
	@$(BIN)/python -m pytest tests/acceptance

bench-setup: setup .venv-mlflow/.ready

.venv-mlflow/.ready:
	@echo "runstone: installing MLflow into .venv-mlflow, to be measured beside (a minute, once)"
	@$(PYTHON) -m venv .venv-mlflow
	@.venv-mlflow/bin/python -m pip install --disable-pip-version-check --quiet 'mlflow==3.17.2' psycopg2-binary
	@touch $@

bench: bench-setup
	@$(BIN)/python benchmarks/start.py
	@$(BIN)/python benchmarks/log_metric.py
	@$(BIN)/python benchmarks/freshness.py

clean:
	rm -rf $(VENV) .venv-mlflow .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
