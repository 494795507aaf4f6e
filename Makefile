# Everything starts from a bare checkout: each target sets up what it needs, in .venv, with PYTHON.
PYTHON ?= python3
VENV ?= .venv
WORKERS ?= 2
BIN := $(VENV)/bin
CONTRACT_VENV := $(VENV)-contract
CONTRACT_BIN := $(CONTRACT_VENV)/bin
DEMO_DB ?= .requence/demo.db
DEMO := local examples/document_digest.py --db '$(DEMO_DB)' $(if $(PORT),--port $(PORT))
CLIENT_TESTS := tests/task tests/stream tests/transport tests/process tests/files tests/cli/test_generate_types.py
REDOCLY := @redocly/cli@2.77.0

.DEFAULT_GOAL := help
.PHONY: help demo local test test-all contract contract-server contract-client soak bench pictures docs docs-serve check format lint types imports spec regen regen-check \
  relock clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

$(VENV)/.package: pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; v >= (3, 11) or sys.exit(f"requence needs Python 3.11 or newer, and $(PYTHON) is {v[0]}.{v[1]}: call make with PYTHON=…")'
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all]'
	@touch $@

$(VENV)/.dev: $(VENV)/.package
	@echo "installing the development tools into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	@touch $@

$(VENV)/.docs: $(VENV)/.package
	@echo "installing what makes the documentation into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group docs
	@touch $@

$(CONTRACT_VENV)/.made: pyproject.toml
	@echo "setting up $(CONTRACT_VENV) (once)"
	@$(PYTHON) -m venv --clear $(CONTRACT_VENV)
	@$(CONTRACT_BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(CONTRACT_BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all]' --group contract
	@touch $@

export DOC
demo: $(VENV)/.package ## run the example on real input: make demo [DOC=path/to/a/text.md] [PORT=…]
	@$(BIN)/requence $(DEMO) -- $(BIN)/python examples/quickstart.py $(if $(DOC),"$$DOC")
	@echo "To open the task's page, serve the same file again on the same port: make local"

local: $(VENV)/.package ## serve the demo's file, so that the URLs it printed open
	@$(BIN)/requence $(DEMO)

test: $(VENV)/.dev ## run the tests on this Python: make test [ARGS='-k stream'] [WORKERS=2]
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

test-all: $(VENV)/.dev ## run the tests on every Python found (3.11, 3.12, 3.13)
	@$(BIN)/nox

contract: contract-server contract-client ## hold server and client against the contract: make contract [ARGS='-x']

contract-server: $(CONTRACT_VENV)/.made ## the local server, with generated requests
	@$(CONTRACT_BIN)/python -m pytest tests/contract_fuzz $(ARGS)

contract-client: $(CONTRACT_VENV)/.made ## the client: its tests once more, with all that is sent and answered in them checked
	@$(CONTRACT_BIN)/python -m pytest tests/contract_client $(ARGS)
	@$(CONTRACT_BIN)/python -m pytest -p tests.contract_client.watching --whole-suite -n $(WORKERS) --dist worksteal $(CLIENT_TESTS) $(ARGS)

pictures: $(VENV)/.dev ## take the pictures of README and docs anew, from real runs (needs Chromium)
	@$(BIN)/python scripts/pictures.py

soak: $(VENV)/.dev ## cut streams at random bytes, end scripts at once, kill servers, run many tasks, and count what is lost: make soak [CUTS=10000 EXITS=100 KILLS=50 TASKS=10000]
	@$(BIN)/python -m tests.stream.soak $(if $(CUTS),--cuts $(CUTS))
	@$(BIN)/python -m tests.process.exits $(or $(EXITS),100)
	@$(BIN)/python -m tests.local.kill_soak --kills $(or $(KILLS),50)
	@$(BIN)/python -m tests.task.many $(or $(TASKS),10000)
	@$(BIN)/python -m tests.task.many $(or $(TASKS),10000) --async

bench: $(VENV)/.dev ## side by side with the published SDK and bare aiohttp, then the local server; writes docs/performance.md: make bench [QUICK=1] [ONLY=word]
	@$(BIN)/python -m benchmarks.side_by_side $(if $(QUICK),--quick) $(if $(ONLY),--only '$(ONLY)')

docs: $(VENV)/.docs ## make the documentation, site/index.html; whatever leads nowhere is an error
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --clean

docs-serve: $(VENV)/.docs ## serve the documentation, and make it anew when it changes
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve --dev-addr localhost:8001

check: format lint types imports spec regen-check ## everything that CI checks beside the tests

format: $(VENV)/.dev
	@$(BIN)/ruff format --check . || { echo "mend with: $(BIN)/ruff format ." >&2; exit 1; }

lint: $(VENV)/.dev
	@$(BIN)/ruff check .

types: $(VENV)/.dev
	@$(BIN)/mypy
	@$(BIN)/pyright --warnings

imports: $(VENV)/.dev
	@$(BIN)/lint-imports --no-logo

spec: $(VENV)/.dev
	@$(BIN)/openapi-spec-validator openapi/requence.yaml
	@if command -v npx >/dev/null; then \
	  REDOCLY_TELEMETRY=off npx --yes $(REDOCLY) lint --config openapi/redocly.yaml openapi/requence.yaml; \
	elif [ -n "$$REQUIRE_ALL" ]; then \
	  echo "the contract's lint needs npx: install Node.js 20 or newer" >&2; exit 1; \
	else \
	  echo "skipped the contract's lint: it needs npx (install Node.js 20 or newer)"; \
	fi

regen: ## compile openapi/requence.yaml into generated/ and docs/protocol.md
	@scripts/regen.sh

regen-check: ## fail if generated/ or docs/protocol.md is not what the contract says
	@scripts/regen.sh --check

relock: $(VENV)/.dev ## lock the generator and all under it, with hashes, from openapi/requirements.in: make relock [UPGRADE=1]
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group lock
	@scripts/relock.sh $(BIN)/uv $(if $(UPGRADE),--upgrade)

clean: ## remove environments, caches and the demo's data
	@rm -rf $(VENV) $(CONTRACT_VENV) .regen-venv .venv-published .venv-published.lock .nox .requence build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
