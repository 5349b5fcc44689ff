# Each target makes what it needs: a fresh machine needs Python 3.11 or newer and this file.
PYTHON ?= python3
VENV   := .venv
# `copy`: llama-index-core refuses an nltk that is a hard link into uv's cache.
INSTALL = uv pip install --quiet --link-mode copy --constraints constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo app test test-all test-versions test-stores test-docs test-app release-check app-screenshots \
	coverage lint record constraints bench soak docs docs-serve clean

help:              ## Show this list
	@grep -hE '^[a-z-]+: .*## ' $(MAKEFILE_LIST) | sed 's/: .*## /\t/' | expand -t 18

demo: $(VENV)/.made   ## See it work: live with DASHSCOPE_API_KEY, replayed without; PROVIDER=llama.cpp for an own server
	@PROVIDER=$(PROVIDER) $(VENV)/bin/python -m examples.demo

app:               ## Ask a scan on a local web page: as demo; PORT=, and PROVIDER= MODEL= BASE_URL= for any server
	@PYTHON=$(PYTHON) PORT="$(PORT)" PROVIDER="$(PROVIDER)" MODEL="$(MODEL)" BASE_URL="$(BASE_URL)" ./tests/app.sh run

test: $(VENV)/.made   ## Run the tests, offline
	$(VENV)/bin/python -m pytest -n auto

test-all: lint coverage test-versions test-stores test-docs test-app release-check   ## Run every check of this list

test-versions:     ## Run the tests with the lowest allowed and with older dependencies
	PYTHON=$(PYTHON) ./tests/versions.sh

test-stores:       ## Run the tests with real vector stores, in an environment of their own
	PYTHON=$(PYTHON) ./tests/stores.sh

test-docs:         ## Build the documentation and check its links and its reference, in an environment of their own
	PYTHON=$(PYTHON) ./tests/docs.sh test

release-check:     ## Build sdist and wheel, and check them with each extra in environments of their own
	PYTHON=$(PYTHON) ./tests/release.sh

test-app:          ## Run the tests of the web page in a real Chromium, in an environment of their own
	PYTHON=$(PYTHON) ./tests/app.sh test

app-screenshots:   ## Take the screenshots of docs/app.md anew
	PYTHON=$(PYTHON) ./tests/app.sh test --screenshots

coverage: $(VENV)/.made   ## Run the tests and measure branch coverage of the packages (at least 97 %)
	$(VENV)/bin/python -m pytest -n auto --cov --cov-report= || ./tests/rerun.sh $(VENV)
	$(VENV)/bin/coverage report

lint: $(VENV)/.made   ## Check style, spelling and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/codespell
	$(VENV)/bin/mypy

record: $(VENV)/.made   ## Record the cassettes anew, or one (ARGS=docs_thinking): live with DASHSCOPE_API_KEY
	@$(VENV)/bin/python -m tests.record $(ARGS)

constraints: $(VENV)/.made   ## Pin the newest versions that pyproject.toml allows in constraints.txt
	$(VENV)/bin/uv pip compile --quiet --universal --upgrade --no-annotate --no-header --no-emit-index-url \
		--python-version 3.11 --extra all --group test --group lint pyproject.toml --output-file constraints.txt

bench:             ## Measure beside the peers (ARGS=--quick: in two minutes); writes bench/RESULTS.md
	@$(PYTHON) -m bench $(ARGS)

soak: $(VENV)/.made   ## Stream for a minute from a service that fails at random (ARGS=--seconds=10)
	@$(VENV)/bin/python -m bench.soak $(ARGS)

docs:              ## Build the documentation into site/; a warning is an error
	@PYTHON=$(PYTHON) ./tests/docs.sh build

docs-serve:        ## Show the documentation on 127.0.0.1:8000, and build it anew with each change
	@PYTHON=$(PYTHON) ./tests/docs.sh serve

clean:             ## Remove what these targets made
	rm -rf $(VENV) .venvs site .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage

$(VENV)/.made: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear $(VENV)
	$(VENV)/bin/python -m pip install --quiet uv
	VIRTUAL_ENV=$(VENV) $(VENV)/bin/$(INSTALL) --editable '.[all]' --group test --group lint
	@touch $@
