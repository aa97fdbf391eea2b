# Plain commands; `make demo` and `make test` need Python 3.11 and nothing else.
.PHONY: demo test lint fix bench bench-replica audit units lock clean browser validator
.DEFAULT_GOAL := test

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

demo: .venv/installed
	@$(BIN)/elunum demo

test: .venv/installed-dev lint
	$(BIN)/python -m pytest

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

fix: .venv/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/installed-dev
	$(BIN)/python -m bench

bench-replica: .venv/installed-dev
	$(BIN)/python -m bench.replica

# What we depend on (var/sbom.json, CycloneDX), and known vulnerabilities of it where their database can be reached.
audit: .venv/installed-dev
	@mkdir -p var
	$(BIN)/cyclonedx-py requirements requirements.lock -o var/sbom.json
	@$(BIN)/pip-audit --require-hashes --disable-pip -r requirements.lock >var/audit.log 2>&1; found=$$?; \
		unchecked=$$(grep -c 'could not be audited' var/audit.log); \
		if [ $$unchecked -gt 0 ] || grep -qE 'ConnectionError|Max retries|ServiceError|SSLError|JSONDecodeError' var/audit.log; then \
		echo "make audit: the database of vulnerabilities does not answer here ($$unchecked dependencies not checked): run it elsewhere"; \
		exit 3; fi; cat var/audit.log; exit $$found

# The systemd units under a real systemd, in a container of its own (Linux, root): each promise they make is tried.
units: .venv/installed-dev
	@$(BIN)/python -m scripts.try_units

# Pin every dependency with its hashes, and no address.
lock: .venv/installed-dev
	$(BIN)/uv pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra build -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra build --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml
	echo uv | $(BIN)/uv pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		-c requirements-dev.lock -o requirements-uv.lock -

# Chromium and w3m (a browser of text) for the browser tests, from the distribution's own packages; without them these
# tests are skipped, saying so.
browser:
	@{ command -v chromium && command -v w3m; } >/dev/null || \
		{ apt-get update -qq && apt-get install -y -qq chromium w3m; }

# The validator of the W3C for HTML and CSS (needs Java, comes by npm); its test is skipped, saying so, without it.
# The package holds the validator itself: the download its install script would try is not needed.
validator:
	@command -v java >/dev/null || { apt-get update -qq && apt-get install -y -qq default-jre-headless; }
	@[ -f node_modules/vnu-jar/build/dist/vnu.jar ] || \
		npm install --no-save --no-package-lock --ignore-scripts --silent vnu-jar

clean:
	rm -rf .venv var .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null || \
		{ echo "Elunum needs Python 3.11; install it, or name it: make PYTHON=/path/to/python3.11"; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ echo "Python's venv module is incomplete; on Debian: apt install python3-venv"; exit 2; }
	$(PYTHON) -m venv .venv

# uv installs the same pinned files in a tenth of pip's time; pip does where uv cannot (a mirror that only pip knows).
.venv/bin/uv: requirements-uv.lock | .venv/bin/python
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@touch $@

.venv/installed: requirements.lock pyproject.toml .venv/bin/uv
	@$(call install,--require-hashes -r requirements.lock)
	@$(call install,--no-deps --no-build-isolation -e .)
	@touch $@

.venv/installed-dev: requirements-dev.lock .venv/installed
	@$(call install,--require-hashes -r requirements-dev.lock)
	@touch $@

install = echo "install $(1)" && $(BIN)/uv pip install -q --python $(BIN)/python $(1) || \
	$(BIN)/pip install -q --disable-pip-version-check $(1)
