# The two commands of the README are `make demo` and `make test`; the rest serves development.
# Everything is installed into .venv from constraints.txt; nothing outside of this folder is changed but
# the caches of the package managers and Runstone's own cache (Kafka's jars and its ahead-of-time cache).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test setup lint unit integration acceptance reference test-compat test-browser soak-client soak-worker bench-setup bench bench-mlflow clean

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

# Most tests wait most of the time: three processes, each with a Kafka and a Postgres of its own, where seconds are
# not what is tested; then one.
test: setup lint
	@$(BIN)/python -m pytest -p no:randomly -n 3 --dist loadfile tests/unit tests/contract tests/integration
	@$(BIN)/python -m pytest -p no:randomly tests/acceptance tests/faults

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

# The client's fault tests at full size: a thousand kills and more, half an hour. SOAK="-k kills" chooses.
soak-client: setup
	@RUNSTONE_SOAK=1 $(BIN)/python -m pytest -p no:randomly tests/faults $(SOAK)

# The worker's fault tests at full size: two hours and more. SOAK="-k zombies", SOAK="-k part-2" chooses.
WORKER_FAULTS := worker_kills worker_storms worker_poison worker_clocks lost_logs postgres_kills broker_kills hot_keys histories mutants replay_swaps
soak-worker: setup
	@RUNSTONE_SOAK=1 $(BIN)/python -m pytest -p no:randomly -s $(WORKER_FAULTS:%=tests/faults/test_%.py) $(SOAK)

# The reference page, from the client's docstrings.
reference:
	@$(PYTHON) docs/build_reference.py

# The tiers and benchmarks that need the mlflow package have an environment of their own: its hundred
# dependencies are pinned apart, and nobody who only works on Runstone waits for them.
.venv-mlflow/.ready: pyproject.toml tests/compat/constraints.txt
	@echo "runstone: installing MLflow into .venv-mlflow, to be compared with (two minutes, once)"
	@$(PYTHON) -m venv .venv-mlflow
	@.venv-mlflow/bin/python -m pip install --disable-pip-version-check --quiet --constraint tests/compat/constraints.txt \
		mlflow psycopg2-binary aiohttp requests scikit-learn pandas matplotlib pillow plotly playwright pytest pytest-timeout hypothesis --editable .
	@touch $@

# An unmodified MLflow client against MLflow's own server and against Runstone; COMPAT="-k registry" chooses.
test-compat: setup .venv-mlflow/.ready
	@.venv-mlflow/bin/python -m pytest -c tests/compat/pytest.ini --rootdir=. tests/compat $(COMPAT)

CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser)

# MLflow's own web interface over Runstone, in a real browser without a window.
test-browser: setup .venv-mlflow/.ready
	@if [ -z "$(CHROMIUM)" ]; then \
		echo "tier test-browser skipped: no Chromium here; install Debian's package chromium or name one: CHROMIUM=PATH"; \
	else \
		CHROMIUM="$(CHROMIUM)" .venv-mlflow/bin/python -m pytest -c tests/browser/pytest.ini --rootdir=. tests/browser; \
	fi

bench-setup: setup .venv-mlflow/.ready

bench: bench-setup
	@$(BIN)/python benchmarks/start.py
	@$(BIN)/python benchmarks/log_metric.py
	@$(BIN)/python benchmarks/log_series.py
	@$(BIN)/python benchmarks/training_loop.py
	@$(BIN)/python benchmarks/importing.py
	@$(BIN)/python benchmarks/broker_away.py
	@$(BIN)/python benchmarks/artifacts.py
	@$(BIN)/python benchmarks/freshness.py
	@$(BIN)/python benchmarks/ingest.py
	@$(BIN)/python benchmarks/growth.py

# The figures of MLflow's own client and REST surface: an hour, most of it MLflow's server.
bench-mlflow: bench-setup
	@$(BIN)/python benchmarks/mlflow_calls.py
	@$(BIN)/python benchmarks/mlflow_batches.py
	@$(BIN)/python benchmarks/mlflow_models.py
	@$(BIN)/python benchmarks/mlflow_artifacts.py
	@$(BIN)/python benchmarks/mlflow_plugin.py
	@$(BIN)/python benchmarks/mlflow_open_loop.py

clean:
	rm -rf $(VENV) .venv-mlflow .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
