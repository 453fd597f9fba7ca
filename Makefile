# The two commands of the README are `make demo` and `make test`; the rest serves development.
# Everything is installed into .venv from constraints.txt; nothing outside of this folder is changed but
# the caches of the package managers and Runstone's own cache (Kafka's jars and its ahead-of-time cache).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test setup lint unit integration acceptance bench clean

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
	@$(BIN)/lint-imports --no-timing

unit: $(VENV)/.ready
	@$(BIN)/python -m pytest tests/unit tests/contract

integration: setup
	@$(BIN)/python -m pytest tests/integration

acceptance: setup
	@$(BIN)/python -m pytest tests/acceptance

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
