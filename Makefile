# Everything a person does often. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
UV_VERSION := 0.13.8
UV := .tools/bin/uv
BIN := .venv/bin
# One worker per core, but never more than four: the suite starts real servers.
TEST_WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN); echo $$(( n > 4 ? 4 : n )))
export UV_PYTHON_DOWNLOADS := never
# Half a minute once; without it every task compiles the libraries that it imports.
export UV_COMPILE_BYTECODE := 1
export UV_PROJECT_ENVIRONMENT := .venv

.PHONY: help env run up down test bench lint format clean

help: ## List the commands
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/make \1|\2/' | column -t -s '|'

env: .venv/ready ## Make the environment .venv from uv.lock

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: Python 3.11 or newer is needed; found $$($(PYTHON) -V). Set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.venv/ready: uv.lock pyproject.toml | $(UV)
	$(UV) sync --locked --quiet --python $(PYTHON)
	@touch $@

run: env ## Run the whole loop on the bundled traces, then stop everything
	@$(BIN)/headroom run

up: env ## Start Airflow, MLflow and the local cloud, and leave them running
	@$(BIN)/headroom up

down: env ## Stop the stack, children included
	@$(BIN)/headroom down

test: env ## Run every test, those of the optional deep candidate too
	$(UV) sync --locked --quiet --extra deep
	$(BIN)/pytest -n $(TEST_WORKERS) --dist loadfile -m "not serial"
	$(BIN)/pytest -m serial

bench: env ## Compare the forecasts with other forecasters: make bench DATA=folder of recordings
	@test -n "$(DATA)" || { echo "make: say where the recordings are: make bench DATA=folder"; exit 1; }
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.benchmarks.forecasting --data $(DATA) --output var/benchmarks

lint: env ## Check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: env ## Format the code and apply safe fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: down ## Stop the stack and delete its state (var/)
	rm -rf var
