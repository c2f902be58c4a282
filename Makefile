# Everything a person or CI runs. `make` alone lists it.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TOOLCHAINS := .build/toolchains
# What is needed to verify, and what is needed on top to test (Debian package names).
PACKAGES := python3-venv git bubblewrap mmdebstrap libseccomp2 debian-archive-keyring ca-certificates
TEST_PACKAGES := $(PACKAGES) chromium chromium-driver openssl jq gpg util-linux postgresql
SUITES := bullseye bookworm trixie forky
DEMO := pypi:jinja2==3.1.6 pypi:idna==3.20 pypi:pluggy==1.7.0 pypi:aiosignal==1.4.0 pypi:numpy==2.3.5

.PHONY: help packages test-packages install toolchains demo test lint types tests test-online soak bench lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

packages: ## Debian packages needed to verify
	@tools/debian-packages $(PACKAGES)

test-packages: ## Debian packages needed to test
	@tools/debian-packages $(TEST_PACKAGES)

$(VENV)/.installed: requirements-dev.lock pyproject.toml
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

install: packages $(VENV)/.installed ## Debian packages and the locked Python environment

toolchains: install ## The root file systems that tests build in (cached)
	@# For tests a mirror that stands still will do; whoever verifies decides in the settings.
	$(BIN)/python -m rebuilder.toolchains.prepare --root $(TOOLCHAINS) $(SUITES:%=--accept-expired %) bookworm trixie bullseye forky bookworm-git trixie-git bullseye-git forky-git diffoscope uml

demo: install ## Verify a handful of real releases and write ./site
	@$(BIN)/rebuilder verify --site site $(DEMO); code=$$?; \
	if [ -f site/index.html ]; then echo; echo "The reports are in ./site; open this file in a browser: $(CURDIR)/site/index.html"; fi; \
	if [ $$code -eq 3 ]; then echo "(One of them, a platform wheel, is there to show what \"unsupported\" looks like.)"; exit 0; fi; exit $$code

test: test-packages lint types tests ## Everything CI runs

lint: install ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install ## Static types
	$(BIN)/mypy

tests: test-packages toolchains ## Unit, contract, integration and browser tests; no internet
	$(BIN)/python -m pytest tests --ignore=tests/online

test-online: toolchains ## Tests against real registries (not part of CI)
	$(BIN)/python -m pytest tests/online

soak: toolchains ## Kills, restarts and full disks, for as long as it takes (bounded)
	$(BIN)/python -m tests.soak

bench: toolchains ## Speed and memory as ratios in one run, then whole lists of published wheels (an hour)
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench list

lock: ## Resolve the lock files again
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock

clean: ## Remove what was built here
	chmod -R u+w .build 2>/dev/null; rm -rf $(VENV) .build .mypy_cache .ruff_cache dist site
