# `make quickstart` runs a real study; `make test` passes the tests; `make check` is what CI runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STUDY := runs/quickstart

.PHONY: quickstart test lint check clean

quickstart: $(VENV)/installed
	@if [ -f $(STUDY)/manifest.json ]; then $(BIN)/ratio-search resume quickstart; \
	else $(BIN)/ratio-search launch studies/quickstart.yaml; fi

test: $(VENV)/installed
	$(BIN)/python -m pytest

lint: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The constraints pin what was tested; torch's pin is its CPU build where the index has one.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[hf,parquet,dev]'
	touch $@
