# `make quickstart` runs a real study; `make test` passes the tests; `make check` is what CI runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STUDY := runs/quickstart

.PHONY: quickstart nova-rehearsal test lint check clean

quickstart: $(VENV)/installed
	@if [ -f $(STUDY)/manifest.json ]; then $(BIN)/ratio-search resume quickstart; \
	else $(BIN)/ratio-search launch studies/quickstart.yaml; fi

# A whole study of Amazon Nova without an account: against a service on this machine.
nova-rehearsal: $(VENV)/installed
	$(BIN)/python -m tests.services.sagemaker.rehearsal

# Most tests wait for processes: two at a time. Files stay together, and in order: the longest one comes early.
test: $(VENV)/installed
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/installed
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The constraints pin what was tested; torch's pin is its CPU build where the index has one. Of the SageMaker SDK the tests
# need one module, which needs none of the hundred packages that come with the others: it lies apart, by itself.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[hf,parquet,dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --no-deps --upgrade \
	    --target $(VENV)/nova-sdk sagemaker-train
	touch $@
