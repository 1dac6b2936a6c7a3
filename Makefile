# Everything a person types. `make` alone lists it.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Extra words for pip, such as an index with CPU builds of torch.
PIP_ARGS ?=
# The CPU build of torch unless said otherwise; `make setup CONSTRAINTS=` takes whatever pip finds (CUDA on Linux).
CONSTRAINTS ?= -c constraints-cpu.txt
EXTRAS ?= train,plots,dev

.DEFAULT_GOAL := help
.PHONY: help setup setup-sandbox demo test soak check lint format up down clean docs

help: ## list what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## a virtual environment with rstar and all it needs

$(VENV)/.ready: pyproject.toml constraints-cpu.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) $(CONSTRAINTS) -e '.[$(EXTRAS)]'
	@touch $@

# Another interpreter for the steps of the sandbox: the newest one found; 3.12 or newer makes a step cheaper.
SANDBOX_PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 $$(ls -r $(HOME)/.pyenv/versions/3.1[234]*/bin/python); \
	do $$p -c '' && echo $$p && break; done 2>/dev/null)

setup-sandbox: setup ## .venv-sandbox, a newer Python for the sandbox's steps: sandbox.python=.venv-sandbox/bin/python
	@test -n "$(SANDBOX_PYTHON)" || { echo "no Python 3.12 or newer found: make setup-sandbox SANDBOX_PYTHON=PATH"; exit 1; }
	$(SANDBOX_PYTHON) -m venv .venv-sandbox
	.venv-sandbox/bin/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) numpy \
		$$($(BIN)/python -m pip freeze | grep -E '^(sympy|mpmath)==')

demo: setup ## two rounds of self-evolution on a tiny model, and the table of rounds beside the control
	$(BIN)/rstar evolve configs/demo.yaml
	$(BIN)/rstar report runs/demo --quiet

test: setup ## the whole test suite
	$(BIN)/python -m pytest

check: lint ## format, lint, types, layers, and the tests that take seconds
	$(BIN)/python -m pytest -m 'not slow and not prefect'

lint: setup ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: setup ## rewrite the code in the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup ## rewrite the pages that are made from the code
	$(BIN)/python -m rstar.config.describe > docs/config.md

soak: setup ## a million executions in one sandbox, within an hour: does anything grow?
	$(BIN)/python benchmarks/soak.py

up: setup ## Prefect: server, pool, deployments and worker, until Ctrl-C or `make down`
	@$(BIN)/python -m flows.up

down: setup ## stop what `make up` started
	@$(BIN)/python -m flows.down

clean: ## remove caches and builds; runs/ and the environment stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
