# Two commands do everything: `make demo` and `make lab`. `make test` and `make check` are for those who change nbflow.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo lab test check bench clean

demo: .venv/lab.stamp
	$(BIN)/python -m nbflow.cli demo notebooks/tour.ipynb

lab: .venv/lab.stamp
	$(BIN)/jupyter lab notebooks/tour.ipynb

# Tests of what is called in other processes go first: all that pytest has imported by then would travel there with them.
ELSEWHERE := tests/executors tests/faults tests/laws

# Bytecode is made also where Python itself may write none: hundreds of tests start another one.
test: .venv/dev.stamp
	$(BIN)/python -m compileall -q nbflow
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ELSEWHERE)
	$(BIN)/python -m pytest -n 2 --dist worksteal $(ELSEWHERE:%=--ignore=%)

check: .venv/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/dev.stamp
	$(BIN)/python benchmarks/run.py

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/lab.stamp: .venv/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[lab]'
	touch $@

.venv/dev.stamp: .venv/lab.stamp pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[lab,dev]'
	touch $@

clean:
	rm -rf .venv build .nbflow
