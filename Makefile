# Everything a person or CI runs. `make` alone lists it.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ENVIRONMENTS := .build/toolchains
WHEELHOUSE := .build/wheelhouse
JOBS ?= $(shell nproc)
# What is needed to verify, and what is needed on top to test (Debian package names).
PACKAGES := python3-venv git bubblewrap mmdebstrap gpgv libseccomp2 debian-archive-keyring ca-certificates
TEST_PACKAGES := $(PACKAGES) chromium chromium-driver dpkg-dev openssl jq gpg gpg-agent util-linux postgresql redis-server softhsm2 systemd \
  $(shell command -v npm >/dev/null || echo npm)
# What is needed on top for the soak of a fleet.
SOAK_PACKAGES := rabbitmq-server libfaketime
SUITES := bullseye bookworm trixie forky
# What tests build on; those that take longest come first.
TREES := bullseye-git bookworm-git trixie-git forky-git trixie-build trixie-gcc trixie-node diffoscope python2 $(SUITES) uml
DEMO := pypi:jinja2==3.1.6 pypi:idna==3.20 pypi:pluggy==1.7.0 pypi:aiosignal==1.4.0 pypi:numpy==2.3.5

# A file stays on one processor, for what its tests share. In the order of their folders the short ones of tests/unit come
# last, so that no processor waits for another at the end.
RUN_TESTS = $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder tests --ignore=tests/online
LOCK := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header $(UPGRADE)

.PHONY: help packages test-packages install builder oracle environments demo test lint types ready tests coverage test-online soak soak-fleet bench bench-causes release-check image update-pins lock clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

packages: ## Debian packages needed to verify
	@tools/debian-packages $(PACKAGES)

test-packages: ## Debian packages needed to test
	@tools/debian-packages $(TEST_PACKAGES)

$(VENV)/.installed: requirements-dev.lock requirements-build.lock pyproject.toml tools/install-python
	PYTHON=$(PYTHON) tools/install-python $(VENV) requirements-dev.lock --editable
	touch $@

# The locked files themselves: with them, tests install once more without an index, and beside newer releases.
$(WHEELHOUSE)/.complete: $(VENV)/.installed requirements-dev.lock requirements-build.lock
	rm -rf $(WHEELHOUSE)
	for lock in build dev; do $(BIN)/python -m pip --quiet --disable-pip-version-check download --no-deps --require-hashes --only-binary :all: \
	  --dest $(WHEELHOUSE) --requirement requirements-$$lock.lock || exit 1; done
	touch $@

# An older pip and an older uv, which tests hold beside the newer ones: what is equivalent is installed alike by all.
.build/oracle/.installed: $(VENV)/.installed requirements-oracle.lock
	rm -rf .build/oracle
	$(BIN)/python -m pip --quiet --disable-pip-version-check install --no-deps --require-hashes --only-binary :all: \
	  --target .build/oracle --requirement requirements-oracle.lock
	touch $@

# Build backends of two times, for the bench of causes; one lock file holds one version of each.
.build/backends/.complete: $(VENV)/.installed requirements-backends.lock requirements-backends-older.lock
	rm -rf .build/backends
	for lock in backends backends-older; do $(BIN)/python -m pip --quiet --disable-pip-version-check download --no-deps --require-hashes --only-binary :all: \
	  --dest .build/backends --requirement requirements-$$lock.lock || exit 1; done
	touch $@

# What tests make an image of that builds wheels for Linux: an environment with a compiler, and tools to lay into it.
.build/builder/.complete: $(VENV)/.installed requirements-builder.lock tests/assets/builder.toml
	rm -rf .build/builder
	$(BIN)/rebuilder environments make builder --config tests/assets/builder.toml --store .build/builder
	$(BIN)/python -m pip --quiet --disable-pip-version-check download --no-deps --require-hashes --only-binary :all: \
	  --dest .build/builder/wheels --requirement requirements-builder.lock
	touch $@

# Node, npm and a compiler, which tests and the demo build packages of npm with.
.build/npm/.complete: npm-tools.lock tools/npm-tarballs
	tools/npm-tarballs npm-tools.lock .build/npm
	touch $@

npm-tarballs: .build/npm/.complete ## Node and npm, for tests and the demo

builder: .build/builder/.complete ## What an image is made of that builds wheels, for tests

oracle: .build/oracle/.installed ## Older installers, for tests

ready: environments $(WHEELHOUSE)/.complete npm-tarballs builder oracle  # what tests need beside the Python environment

install: packages $(VENV)/.installed ## Debian packages and the locked Python environment

environments: install ## The root file systems that tests build in (cached)
	@# For tests a mirror that stands still will do; whoever verifies decides in the settings.
	printf '%s\n' $(TREES) | xargs --max-procs=$(JOBS) --max-args=1 \
	  $(BIN)/rebuilder environments make --store $(patsubst %/,%,$(dir $(ENVIRONMENTS))) $(SUITES:%=--accept-expired %)

demo: install ## Verify a handful of real releases and an npm package made here, and write ./site
	@$(BIN)/rebuilder verify --site site $(DEMO); code=$$?; \
	if ! command -v npm >/dev/null || ! tools/npm-tarballs npm-tools.lock .build/npm; then \
	  echo "The example of an npm package is left out: npm is not installed, or its registry does not hand out Node."; \
	elif echo; ! $(BIN)/python tools/npm-example --site site; then code=1; fi; \
	if [ -f site/index.html ]; then echo; echo "The reports are in ./site; open this file in a browser: $(CURDIR)/site/index.html"; fi; \
	if [ $$code -eq 3 ]; then echo "(One of them, a wheel for one platform, is there to show what \"accounted\" looks like.)"; exit 0; fi; exit $$code

ifdef T
test tests: $(VENV)/.installed  # nothing else is looked at: it begins at once
	$(BIN)/python -m pytest $(T)
else
test: test-packages ## Everything CI runs. Only some tests, at once: make test T=tests/unit/test_x.py
	$(MAKE) --jobs=$(JOBS) lint types ready
	$(RUN_TESTS)
endif

lint: install ## Style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install ## Static types
	$(BIN)/mypy

ifndef T
tests: test-packages ready ## Unit, contract, integration and browser tests; no internet
	$(RUN_TESTS)

coverage: test-packages ready ## The same tests, and how much of the code they run; takes a third longer or more
	$(RUN_TESTS) --cov --cov-report=
	$(BIN)/coverage report
endif

test-online: environments ## Tests against real registries (not part of CI)
	$(BIN)/python -m pytest --force-enable-socket tests/online

soak: environments ## Kills, restarts and full disks, for as long as it takes (bounded)
	$(BIN)/python -m tests.soak

soak-fleet: test-packages environments ## Whole services with fleets: runners, broker, S3 store and ledger killed; then runners that only wait (bounded)
	@tools/debian-packages $(SOAK_PACKAGES)
	$(BIN)/python -m tests.soak --only fleet
	$(BIN)/python -m tests.fleet simulate

bench: environments npm-tarballs .build/backends/.complete ## Speed and memory as ratios in one run, then whole lists of published wheels (an hour)
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench installs
	$(BIN)/python -m tests.bench backlog
	$(BIN)/python -m tests.bench site --files 10000
	$(BIN)/python -m tests.bench preflight
	$(BIN)/python -m tests.bench debian-cost
	$(BIN)/python -m tests.bench list

bench-causes: environments $(WHEELHOUSE)/.complete .build/backends/.complete ## Whether the cause planted in a release is the one that is named (minutes)
	$(BIN)/python -m tests.bench causes

release-check: install ## Build the wheel, the source archive and the container image into dist/, and see whether a stranger gets the same bytes
	rm -rf dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m hatchling build
	$(BIN)/rebuilder preflight .
	$(BIN)/python tools/image_archive.py --check dist/rebuilder-image.tar

image: install ## The container image, and a real release verified in it (by hand; needs podman)
	tools/image

update-pins: $(VENV)/.installed ## Newer pinned data: uv and pip in the lock files, the trust root (PINS="FILE ..." for what a TUF client fetched)
	$(MAKE) lock UPGRADE="-P uv -P pip"
	$(MAKE) $(VENV)/.installed
	$(BIN)/python tools/update-pins $(PINS)

lock: ## Resolve the lock files again
	$(LOCK) pyproject.toml --all-extras --group dev -o requirements-dev.lock
	$(LOCK) pyproject.toml --all-extras -c requirements-dev.lock -o requirements-service.lock
	$(LOCK) pyproject.toml -c requirements-dev.lock -o requirements.lock
	$(LOCK) --group build -c requirements-dev.lock -o requirements-build.lock
	$(LOCK) --group blobs -c requirements-dev.lock -o requirements-blobs.lock

clean: ## Remove what was built here
	chmod -R u+w .build 2>/dev/null; rm -rf $(VENV) .build .mypy_cache .ruff_cache dist site
