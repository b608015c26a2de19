# One short word for each chore. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := .stamps

.DEFAULT_GOAL := help
.PHONY: help setup browser demo test soak faults soak-paging fuzz openapi check docs format bench generate \
	changelog dist release-check lowest-check api-check clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-13s %s\n", $$1, $$2}'

$(STAMP)/venv:
	@echo "==> making $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)
	@mkdir -p $(STAMP) && touch $@

# each stamp is renewed only when pyproject.toml changes, so a second run costs nothing
$(STAMP)/run: pyproject.toml | $(STAMP)/venv
	@echo "==> installing vismanet-async into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(STAMP)/dev: pyproject.toml | $(STAMP)/venv
	@echo "==> installing vismanet-async with its test and check tools into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable . --group dev
	@$(MAKE) --no-print-directory browser
	@touch $@ $(STAMP)/run

# tests look at the report in a real browser; without one they say so and are skipped
browser:
	@for name in chromium chromium-browser google-chrome google-chrome-stable chrome; do \
		command -v $$name >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "==> installing chromium for the tests that look at pages"; \
		{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium; } \
			>/dev/null 2>&1 || echo "    it could not be installed: those tests will be skipped"; \
	else \
		echo "==> no chromium here: tests of pages are skipped without it ($(BIN)/python -m playwright install chromium)"; \
	fi

$(STAMP)/bench: pyproject.toml | $(STAMP)/dev
	@echo "==> installing the benchmark peers into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group bench
	@touch $@

$(STAMP)/docs: pyproject.toml | $(STAMP)/dev
	@echo "==> installing the tools of the documentation"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group docs
	@touch $@

$(STAMP)/release: pyproject.toml | $(STAMP)/dev
	@echo "==> installing the release tools into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group release
	@touch $@

$(STAMP)/fuzz: pyproject.toml | $(STAMP)/dev
	@echo "==> installing the fuzzer into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group fuzz
	@touch $@

setup: $(STAMP)/dev ## make .venv with everything needed to work on the project

demo: $(STAMP)/run ## export from the embedded simulator while it changes, and check the files
	@echo "==> running the demo export against the embedded simulator"
	@$(BIN)/vismanet demo

test: $(STAMP)/dev ## run the whole test suite
	@echo "==> running the tests"
	@$(BIN)/python -m pytest -n 2 --dist worksteal $(PYTEST_ARGS)

soak: $(STAMP)/dev ## run everything at once on random faults, and check every promise (SOAK_SECONDS=..., SOAK_SEED=...)
	@SOAK_SECONDS="$(SOAK_SECONDS)" SOAK_SEED="$(SOAK_SEED)" SOAK_RECORD="$(SOAK_RECORD)" $(BIN)/python -m tests.soak

faults: $(STAMP)/dev ## fail at every call to disks and stores, alone and in pairs (VISMANET_FAULTS=all, or how many pairs)
	@VISMANET_FAULTS="$${VISMANET_FAULTS:-all}" $(BIN)/python -m pytest -rP -k "every_call or any_moment" \
		tests/export/test_publishing.py tests/export/test_target_faults.py tests/export/test_store_faults.py

soak-paging: $(STAMP)/dev ## prove paging over a million random schedules (SCHEDULES=..., FIRST_SEED=...)
	@seed="$${FIRST_SEED:-$$($(BIN)/python -c 'import secrets; print(secrets.randbelow(10**12))')}"; \
	echo "==> walking $${SCHEDULES:-1000000} schedules; the same again: make soak-paging FIRST_SEED=$$seed"; \
	VISMANET_SCHEDULES="$${SCHEDULES:-1000000}" VISMANET_FIRST_SEED="$$seed" \
		$(BIN)/python -m pytest -n 2 --dist worksteal tests/paging/test_schedules.py $(PYTEST_ARGS)

openapi: $(STAMP)/dev ## hold the simulator to its own OpenAPI document, every operation (EXAMPLES=..., SEED=...)
	@VISMANET_OPENAPI_EXAMPLES="$${EXAMPLES:-20}" VISMANET_OPENAPI_SEED="$${SEED:-1}" \
		$(BIN)/python -m pytest -n 2 --dist worksteal tests/simulator/test_openapi.py $(PYTEST_ARGS)

fuzz: $(STAMP)/fuzz ## fuzz all that reads foreign bytes, guided by coverage (FUZZ_SECONDS=..., READER=...)
	@FUZZ_SECONDS="$(FUZZ_SECONDS)" READER="$(READER)" $(BIN)/python -m tests.fuzz.atheris_readers

check: $(STAMP)/dev $(STAMP)/docs ## lint, format, types, layering and the documentation
	@echo "==> ruff" && $(BIN)/ruff check .
	@echo "==> ruff format" && $(BIN)/ruff format --check .
	@echo "==> mypy" && $(BIN)/mypy && $(BIN)/mypy .ci/release.py
	@echo "==> mypy on the documentation's code" && $(BIN)/python -m tests.docs.typed build/docs_code && $(BIN)/mypy build/docs_code docs/hooks.py
	@echo "==> import-linter" && $(BIN)/lint-imports --no-cache
	@echo "==> generated code is up to date" && $(BIN)/python -m vismanet_async.api.generate --check
	@echo "==> change fragments" && $(BIN)/python .ci/release.py changes
	@$(MAKE) --no-print-directory docs

docs: $(STAMP)/docs ## build the documentation into site/ (warnings are errors)
	@echo "==> building the documentation into site/"
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --config-file .mkdocs.yml
	@echo "open site/index.html"

format: $(STAMP)/dev ## format the code and apply safe fixes
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

generate: $(STAMP)/dev ## write api/resources and api/models from the catalog again
	@$(BIN)/python -m vismanet_async.api.generate

bench: $(STAMP)/bench ## measure against peers (ratios, medians, one run)
	@$(BIN)/python -m benchmarks $(BENCH_ARGS)

changelog: $(STAMP)/release ## write .changes into CHANGELOG.md (VERSION=...)
	@$(BIN)/towncrier build --yes --version "$(VERSION)"

dist: $(STAMP)/release ## build the source archive, the wheel from it, and look into both
	@$(BIN)/python .ci/release.py dist

release-check: dist ## try the wheel with lowest and highest dependencies on every Python (CHECK_ARGS=...)
	@$(BIN)/python .ci/release.py check $(CHECK_ARGS)

lowest-check: dist ## run tests, above all of paging, on the lowest dependencies (CHECK_ARGS=...)
	@$(BIN)/python .ci/release.py lowest $(CHECK_ARGS)

api-check: $(STAMP)/dev ## type-check the last release's tests against this package (REF=...)
	@$(BIN)/python .ci/release.py api-check $(if $(REF),--ref $(REF))

clean: ## remove .venv and all that was built
	@rm -rf $(VENV) $(STAMP) dist build site .pytest_cache .mypy_cache .ruff_cache .hypothesis
