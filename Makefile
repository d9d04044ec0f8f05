# Everything sets itself up: a fresh machine needs Python ≥ 3.11 and nothing else.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
READY   = $(VENV)/.ready

.PHONY: help setup demo fast test accept bench docs new-network new-task clean
help:            ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) not found: install Python 3.11 or newer, or say PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: legato needs Python 3.11 or newer; say PYTHON=…"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[vision,text,track,dev]'
	@touch $@

setup: $(READY)  ## make the virtual environment

demo: $(READY)   ## LeNet-5 on 1,797 real handwritten digits: train, evaluate, explain a prediction, report (under a minute)
	@$(BIN)/python examples/demo.py

fast: $(READY)   ## floors, ruff, mypy, unit tests (< 30 s)
	$(BIN)/lint-imports --no-cache
	$(BIN)/ruff check legato tests bench examples tools
	$(BIN)/ruff format --check legato tests bench examples tools
	$(BIN)/mypy
	$(BIN)/pytest tests -m "not slow" -x --ignore=tests/networks --ignore=tests/cli --ignore=tests/recurrent --ignore=tests/ledger

test: $(READY)   ## all checks and tests
	$(BIN)/lint-imports --no-cache
	$(BIN)/ruff check legato tests bench examples tools
	$(BIN)/ruff format --check legato tests bench examples tools
	$(BIN)/mypy
	$(BIN)/pytest tests -m "not slow" -n 2

accept: $(READY) ## trainings behind docs/results.md and the long fault runs; resumable; prints its cost first
	$(BIN)/python bench/accept.py
	$(BIN)/pytest tests -m slow

bench: $(READY)  ## legato beside its peers, in one run; writes ratios to bench/results/
	$(BIN)/python -m bench

docs: $(READY)   ## redraw the tables and pictures of docs/, and run every code block in them
	$(BIN)/python docs/build.py
	$(BIN)/pytest tests/test_docs.py

new-network: $(READY)  ## NAME=x: copy the smallest network and its test into place, under this name
	@$(BIN)/python tools/new.py network $(NAME)

new-task: $(READY)  ## NAME=x: the same with the smallest task
	@$(BIN)/python tools/new.py task $(NAME)

clean:           ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
