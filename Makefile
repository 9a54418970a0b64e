# Two commands make everything: `make demo` and `make test`. Nothing else is to be installed by hand.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
CORE := $(VENV)/.installed-core
DEV := $(VENV)/.installed-dev
EXTRAS := beamline,scale,dashboard,dev

# The interpreter for the environment: `make demo PYTHON=/path/to/python3.12` chooses another.
PYTHON ?=
# Where to look for torch besides the usual index: the address of an index of builds without CUDA, say.
TORCH_INDEX ?=
TORCH := torch==2.13.0
# Processes that share the tests (one per core), each with one thread for numerics.
TEST_WORKERS ?= auto
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n $(TEST_WORKERS) --dist loadfile
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet -c constraints.txt

.PHONY: help install demo test test-all lint format docs schema clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

$(BIN)/python:
	@for python in $(PYTHON) python3.11 python3.12 python3.13 python3; do \
	  if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	    echo "Making $(VENV) with $$("$$python" --version)"; exec "$$python" -m venv $(VENV); \
	  fi; \
	done; \
	echo "beamloop needs Python 3.11 or newer with its venv module; none of $(PYTHON) python3.11 python3.12 python3.13" \
	  "python3 is one. Install it (Debian, Ubuntu: apt install python3 python3-venv) or name it: make PYTHON=/path/to/python" >&2; \
	exit 1

# torch goes first, alone: a bare `torch` among the rest would pull several GB of CUDA libraries.
$(CORE): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing beamloop (a few minutes the first time)"
	$(PIP) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(TORCH)
	$(PIP) -e .
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing beamloop with what its tests need (a few minutes the first time)"
	$(PIP) $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(TORCH)
	$(PIP) -e '.[$(EXTRAS)]'
	@touch $(CORE) $@

install: $(DEV)  ## Make .venv with everything

demo: $(if $(wildcard $(DEV)),$(DEV),$(CORE))  ## Run an autonomous campaign on the simulated beamline
	$(BIN)/beamloop run configs/demo.yaml

test: $(DEV)  ## Run the tests
	$(PYTEST)
	OMP_NUM_THREADS=1 $(BIN)/pytest -q --doctest-modules loop surrogates instruments simulators

test-all: $(DEV)  ## Run the tests, the slow ones included
	$(PYTEST) -m ''
	OMP_NUM_THREADS=1 $(BIN)/pytest -q --doctest-modules loop surrogates instruments simulators

lint: $(DEV)  ## Check style, types and import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV)  ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(DEV)  ## Build the documentation and run its examples
	$(BIN)/sphinx-build -W --keep-going -q -b doctest docs docs/_build/doctest
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

schema: $(DEV)  ## Write configs/schema.json anew
	$(BIN)/beamloop schema > configs/schema.json

clean:  ## Remove what was built, the environment included (campaigns stay)
	rm -rf $(VENV) build dist docs/_build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
