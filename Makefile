# One short word for each chore. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := .stamps

# hundreds of processes start in the tests: what each compiles of the package anew is a sixth of the suite's time
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup lock browser demo quick lint test test-accel-off test-all test-repeat red soak faults storm streams soak-paging mutate-paging fuzz openapi \
	check docs pictures format bench bench-quick generate \
	changelog dist release-check lowest-check api-check clean

INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# versions as locked, for what is installed beside the lock
PINS := $(STAMP)/pins.txt

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(STAMP)/venv:
	@echo "==> making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMP) && touch $@

# each stamp is renewed only when what it depends on changes, so a second run costs nothing
$(PINS): requirements.lock | $(STAMP)/venv
	@grep == requirements.lock | sed 's/ \\$$//' >$@

$(STAMP)/run: pyproject.toml $(PINS) | $(STAMP)/venv
	@echo "==> installing vismanet-async into $(VENV)"
	@$(INSTALL) --constraint $(PINS) --editable .
	@touch $@

$(STAMP)/dev: pyproject.toml requirements.lock | $(STAMP)/venv
	@echo "==> installing what requirements.lock holds into $(VENV)"
	@sed -n '/^pip==/,/[^\\]$$/p' requirements.lock >$(STAMP)/pip.txt # first, so that the rest is installed by the locked pip
	@$(INSTALL) --require-hashes --requirement $(STAMP)/pip.txt
	@$(INSTALL) --require-hashes --requirement requirements.lock
	@$(INSTALL) --no-deps --no-build-isolation --editable .
	@$(BROWSER) || echo "    no chromium here: the tests that look at pages will be skipped (to have one: make browser)"
	@touch $@ $(STAMP)/run

BROWSER := for name in chromium chromium-browser google-chrome google-chrome-stable chrome; do \
	command -v $$name >/dev/null && exit 0; done; false

browser: $(STAMP)/venv ## install chromium with apt-get, as root, for the tests that look at pages
	@if $(SHELL) -c '$(BROWSER)'; then echo "==> a browser is there already"; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "==> installing the system's package chromium with apt-get"; \
		apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium >/dev/null; \
	else \
		echo "install chromium with the system's package manager, or: $(BIN)/python -m playwright install chromium"; exit 1; \
	fi

$(STAMP)/bench: pyproject.toml $(PINS) | $(STAMP)/dev
	@echo "==> installing the benchmark peers into $(VENV)"
	@$(INSTALL) --group bench
	@touch $@

$(STAMP)/release: pyproject.toml $(PINS) | $(STAMP)/dev
	@echo "==> installing the release tools into $(VENV)"
	@$(INSTALL) --constraint $(PINS) --group release
	@touch $@

$(STAMP)/fuzz: pyproject.toml $(PINS) | $(STAMP)/dev
	@echo "==> installing the fuzzer into $(VENV)"
	@$(INSTALL) --constraint $(PINS) --group fuzz
	@touch $@

setup: $(STAMP)/dev ## make .venv with everything needed to work on the project

lock: $(STAMP)/release ## write requirements.lock anew from pyproject.toml (LOCK_ARGS=--upgrade: the newest of everything)
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url \
		--custom-compile-command "make lock" $(LOCK_ARGS) pyproject.toml --group dev --output-file requirements.lock
	@$(BIN)/python .ci/lock.py

demo: $(STAMP)/run ## export from the embedded simulator while it changes, and check the files
	@echo "==> running the demo export against the embedded simulator"
	@$(BIN)/vismanet demo

quick: lint ## in half a minute: lint, types and the tests of pure rules
	@echo "==> mypy" && $(BIN)/mypy
	@echo "==> the tests of pure rules" && $(BIN)/python -m pytest -q -n 2 --dist worksteal --hypothesis-profile quick @tests/quick.txt

lint: $(STAMP)/dev ## lint, format and layering
	@echo "==> ruff" && $(BIN)/ruff check .
	@echo "==> ruff format" && $(BIN)/ruff format --check .
	@echo "==> import-linter" && $(BIN)/lint-imports --no-cache

test: $(STAMP)/dev ## run the whole test suite
	@echo "==> running the tests"
	@$(BIN)/python -m pytest -n 3 --dist worksteal $(PYTEST_ARGS)

test-all: $(STAMP)/dev ## run the whole suite on each Python, in environments of their own (ALL_ARGS=...)
	@$(BIN)/python .ci/test_all.py $(ALL_ARGS)

test-repeat: ## run the suite 24 times from a fresh clone, in part disturbed (REPEAT_ARGS=...)
	@$(PYTHON) .ci/repeat.py $(REPEAT_ARGS)

red: $(STAMP)/dev ## break the code as CONTRIBUTING says, and see that the tests turn red
	@$(BIN)/python .ci/red.py

# what is fast by a library's private parts must be right without them, too
test-accel-off: $(STAMP)/dev ## run the tests of transport, codec and paging without the accelerators
	@echo "==> running the tests with VISMANET_ACCEL=0"
	@VISMANET_ACCEL=0 $(BIN)/python -m pytest -n 2 --dist worksteal tests/test_accel.py tests/transport tests/codec \
		tests/paging $(PYTEST_ARGS)

soak: $(STAMP)/dev ## run everything at once on random faults, and check every promise (SOAK_SECONDS=..., SOAK_SEED=...)
	@SOAK_SECONDS="$(SOAK_SECONDS)" SOAK_SEED="$(SOAK_SEED)" SOAK_RECORD="$(SOAK_RECORD)" $(BIN)/python -m tests.soak

faults: $(STAMP)/dev ## fail at every call to disks and stores, alone and in pairs (VISMANET_FAULTS=all, or how many pairs)
	@VISMANET_FAULTS="$${VISMANET_FAULTS:-all}" $(BIN)/python -m pytest -rP -k "every_call or any_moment" \
		tests/export/test_publishing.py tests/export/test_target_faults.py tests/export/test_store_faults.py

storm: $(STAMP)/dev ## kill 30 processes on one job store at random, on SQLite and PostgreSQL (STORM_SECONDS=120)
	@VISMANET_STORM_SECONDS="$${STORM_SECONDS:-120}" $(BIN)/python -m pytest -n 0 -rP tests/jobs/test_storm.py

streams: $(STAMP)/dev ## run every command line on every kind of full, closed and foreign-encoded streams
	@VISMANET_STREAMS=all $(BIN)/python -m pytest -n 0 -rP tests/cli/test_real_streams.py

soak-paging: $(STAMP)/dev ## prove paging over a million random schedules and all small worlds (SCHEDULES=..., FIRST_SEED=...)
	@seed="$${FIRST_SEED:-$$($(BIN)/python -c 'import secrets; print(secrets.randbelow(10**12))')}"; \
	echo "==> walking $${SCHEDULES:-1000000} schedules; the same again: make soak-paging FIRST_SEED=$$seed"; \
	VISMANET_SCHEDULES="$${SCHEDULES:-1000000}" VISMANET_FIRST_SEED="$$seed" VISMANET_WORLDS_STRIDE="$${STRIDE:-1}" \
		$(BIN)/python -m pytest -n 2 --dist worksteal tests/paging/test_schedules.py tests/paging/test_worlds.py $(PYTEST_ARGS)

mutate-paging: $(STAMP)/dev ## break each check of the proof once, and see whether the search notices (MUTATION_SECONDS=...)
	@MUTATION_SECONDS="$${MUTATION_SECONDS:-300}" $(BIN)/python -m tests.paging.mutation_search

openapi: $(STAMP)/dev ## hold the simulator to its own OpenAPI document, every operation (EXAMPLES=..., SEED=...)
	@VISMANET_OPENAPI_EXAMPLES="$${EXAMPLES:-20}" VISMANET_OPENAPI_SEED="$${SEED:-1}" \
		$(BIN)/python -m pytest -n 2 --dist worksteal tests/simulator/test_openapi.py $(PYTEST_ARGS)

fuzz: $(STAMP)/fuzz ## fuzz all that reads foreign bytes, guided by coverage (FUZZ_SECONDS=..., READER=...)
	@FUZZ_SECONDS="$(FUZZ_SECONDS)" READER="$(READER)" $(BIN)/python -m tests.fuzz.atheris_readers

check: lint ## lint, types, layering, generated code, the lock and the change fragments
	@echo "==> mypy" && $(BIN)/mypy && $(BIN)/mypy .ci/*.py
	@echo "==> mypy on the documentation's code" && $(BIN)/python -m tests.docs.typed build/docs_code && $(BIN)/mypy build/docs_code docs/hooks.py
	@echo "==> generated code is up to date" && $(BIN)/python -m vismanet_async._api.generate --check && $(BIN)/python .ci/public_names.py --check && $(BIN)/python -m tests.docs.how_to_samples --check
	@echo "==> requirements.lock" && $(BIN)/python .ci/lock.py
	@echo "==> change fragments" && $(BIN)/python .ci/release.py changes

docs: $(STAMP)/dev ## build the documentation into site/ (warnings are errors)
	@echo "==> building the documentation into site/"
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --config-file .mkdocs.yml
	@echo "open site/index.html"

pictures: $(STAMP)/dev ## draw the terminal and the report of the README anew, from a real export (needs Linux or macOS)
	@$(BIN)/python .ci/pictures.py

format: $(STAMP)/dev ## format the code and apply safe fixes
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

generate: $(STAMP)/dev ## write the resources and models from the catalog again, and the list of what is public
	@$(BIN)/python -m vismanet_async._api.generate
	@$(BIN)/python .ci/public_names.py
	@$(BIN)/python -m tests.docs.how_to_samples

bench: $(STAMP)/bench ## measure against peers (ratios, medians, one run)
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

bench-quick: $(STAMP)/bench ## measure the working tree beside a commit, in what its changes can touch (AGAINST=HEAD)
	@$(BIN)/python -m benchmarks.against $${AGAINST:-HEAD} $(BENCH_ARGS)

changelog: $(STAMP)/release ## write .changes into CHANGELOG.md (VERSION=...)
	@$(BIN)/towncrier build --yes --version "$(VERSION)"

dist: $(STAMP)/release ## build the source archive, the wheel from it, and the bill of materials
	@$(BIN)/python .ci/release.py dist

release-check: dist ## try the wheel with lowest and highest dependencies on every Python (CHECK_ARGS=...)
	@$(BIN)/python .ci/release.py check $(CHECK_ARGS)

lowest-check: dist ## run tests, above all of paging, on the lowest dependencies (CHECK_ARGS=...)
	@$(BIN)/python .ci/release.py lowest $(CHECK_ARGS)

api-check: $(STAMP)/dev ## type-check the last release's tests against this package (REF=...)
	@$(BIN)/python .ci/release.py api-check $(if $(REF),--ref $(REF))

clean: ## remove .venv and all that was built
	@rm -rf $(VENV) $(STAMP) dist build site .pytest_cache .mypy_cache .ruff_cache .hypothesis
