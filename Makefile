# Each target makes what it needs: a fresh machine needs Python 3.11 or newer and this file.
PYTHON ?= python3
VENV   := .venv
INSTALL = uv pip install --quiet --link-mode copy
# A hard-linked nltk is refused by llama-index-core: packages are copied into the environment.

.DEFAULT_GOAL := help
.PHONY: help demo test test-versions lint record bench soak clean

help:              ## Show this list
	@grep -hE '^[a-z-]+: .*## ' $(MAKEFILE_LIST) | sed 's/: .*## /\t/' | expand -t 18

demo: $(VENV)/.made   ## See it work: live with DASHSCOPE_API_KEY, replayed without
	@$(VENV)/bin/python -m examples.demo

test: $(VENV)/.made   ## Run the tests, offline
	$(VENV)/bin/python -m pytest -n auto

test-versions:     ## Run the tests with the lowest allowed and with older dependencies
	PYTHON=$(PYTHON) ./tests/versions.sh

lint: $(VENV)/.made   ## Check style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

record: $(VENV)/.made   ## Record the cassettes anew: live with DASHSCOPE_API_KEY
	@$(VENV)/bin/python -m tests.record

bench:             ## Measure beside the peers (ARGS=--quick: in two minutes); writes bench/RESULTS.md
	@$(PYTHON) -m bench $(ARGS)

soak: $(VENV)/.made   ## Stream for a minute from a service that fails at random (ARGS=--seconds=10)
	@$(VENV)/bin/python -m bench.soak $(ARGS)

clean:             ## Remove what these targets made
	rm -rf $(VENV) .venvs .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.made: pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet uv
	VIRTUAL_ENV=$(VENV) $(VENV)/bin/$(INSTALL) --editable '.[all]' --group test --group lint
	@touch $@
