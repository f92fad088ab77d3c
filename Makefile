# Everything works on a machine that has only make and Python 3.11 or newer:
# the first target that needs libraries installs uv, and uv installs the rest.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
TESTS := stock_platform_tests
HOME_DIR := $(CURDIR)/.dagster

# Without bytecode every run of Dagster starts twice as slowly.
unexport PYTHONDONTWRITEBYTECODE
# Another environment that happens to be active is not ours to fill.
unexport VIRTUAL_ENV
export UV_COMPILE_BYTECODE := 1

# The Python that is here if it is one of ours; otherwise uv looks for one.
OURS := import sys; print(sys.executable if (3, 11) <= sys.version_info < (3, 14) else "")
UV_PYTHON ?= $(shell python3 -c '$(OURS)' 2>/dev/null)
ifneq ($(UV_PYTHON),)
export UV_PYTHON
endif

# A shim that only says "not installed" is no uv: ask it for its version.
UV := $(if $(shell uv --version 2>/dev/null),uv,.tools/bin/uv)

.PHONY: help
help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1  \2/p' $(MAKEFILE_LIST) \
		| awk '{ printf "  make %-17s", $$2; $$1 = $$2 = ""; print $$0 }'

# --- what people run

.PHONY: demo
demo: $(VENV)/for-use ## lose data on purpose and watch it heal (no key, no network)
	$(BIN)/stocks demo $(ARGS)

.PHONY: dev
dev: $(VENV)/for-use ## Dagster with its daemon and UI, on ./data unless STOCKS_LAKE says otherwise
	$(BIN)/stocks dev --home $(HOME_DIR) $(ARGS)

# --- what developers run

.PHONY: test
test: $(VENV)/for-tests ## the tests, except the long suites
	$(BIN)/pytest -n 2 --dist loadfile -m "not slow" $(ARGS)

.PHONY: check
check: $(VENV)/for-tests ## format, lint, types, layers, Dagster's definitions
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/dagster definitions validate -w workspace.yaml

.PHONY: faults
faults: $(VENV)/for-tests ## the long suites: crashes, full disks, lost networks
	$(BIN)/pytest -m slow $(ARGS)

.PHONY: bench
bench: $(VENV)/for-benches ## measure the lake, coverage, SQL and Dagster; the last line is JSON
	@$(BIN)/python -m $(TESTS).bench lake

.PHONY: bench-stream
bench-stream: $(VENV)/for-benches ## measure the sidecar beside its peers; the last line is JSON
	@$(BIN)/python -m $(TESTS).bench stream

.PHONY: bench-indicators
bench-indicators: $(VENV)/for-benches ## measure indicators and the serving stores; the last line is JSON
	@$(BIN)/python -m $(TESTS).bench indicators

.PHONY: screenshots
screenshots: $(VENV)/for-tests ## take the pictures in docs/images (needs Chromium)
	$(BIN)/python -m $(TESTS).screenshots

.PHONY: docs
docs: $(VENV)/for-tests ## write .env.example and docs/configuration.md from the settings, docs/api.md from docstrings
	$(BIN)/python -m $(TESTS).house

.PHONY: calendar
calendar: $(VENV)/for-tests ## write domain/xnys.py from the calendar library
	$(BIN)/python -m $(TESTS).golden.make_xnys
	$(BIN)/ruff format stock_platform/domain/xnys.py

.PHONY: lock
lock: $(UV) ## choose library versions again (three days old or more)
	$(UV) lock --upgrade

.PHONY: clean
clean: ## remove what was installed and cached; ./data stays, but for the demo's
	rm -rf $(VENV) .tools .dagster data/demo .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find stock_platform $(TESTS) -name __pycache__ -prune -exec rm -rf {} +

# --- installation

LOCKED := pyproject.toml uv.lock

# --inexact: what `make test` installed may stay.
$(VENV)/for-use: $(LOCKED) | $(UV)
	$(UV) sync --frozen --no-default-groups --inexact
	@touch $@

$(VENV)/for-tests: $(LOCKED) | $(UV)
	$(UV) sync --frozen --inexact
	@touch $@ $(VENV)/for-use

$(VENV)/for-benches: $(LOCKED) | $(UV)
	$(UV) sync --frozen --inexact --group bench
	@touch $@ $(VENV)/for-tests $(VENV)/for-use

.PHONY: uv
uv: ;

# Debian's python3 can lack ensurepip (package python3-venv); pip alone will do then.
.tools/bin/uv:
	@if python3 -m venv .tools >/dev/null 2>&1; then \
		.tools/bin/python -m pip install --quiet uv; \
	elif rm -rf .tools && python3 -m pip --version >/dev/null 2>&1; then \
		python3 -m pip install --quiet --target .tools --ignore-installed uv; \
	else \
		echo "This Python has neither venv nor pip. Install one of them" \
			"(Debian: apt install python3-venv) and run make again." >&2; \
		exit 1; \
	fi
