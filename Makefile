# `make` says what there is. All paths are relative, so that the folder's own may hold anything.
SHELL = /bin/sh
.SHELLFLAGS = -eu -c
.DEFAULT_GOAL = help
.PHONY: help setup setup-dev demo observe test coverage check format bench soak lock build clean

export PYTHON EXTRAS

help:
	@echo "make demo      from nothing to a report: set up, seed, load, compare the copies"
	@echo "make setup     only the environment, .venv; EXTRAS=snowflake,aws adds packages"
	@echo "make test      every test; PYTEST_ARGS='tests/unit -x' for some"
	@echo "make coverage  every test, and what share of the code they execute"
	@echo "make check     ruff, mypy and the import rules"
	@echo "make format    ruff's formatter and its safe fixes"
	@echo "make observe   a Prometheus beside load and watch, where one is installed"
	@echo "make bench     the benchmarks, minutes"
	@echo "make soak      signals, killed workers, spoilt files, memory, other workloads"
	@echo "make lock      the locks anew, from pyproject.toml"
	@echo "make build     the wheel, into dist"
	@echo "make clean     removes what was made here, Postgres and its data too"

setup:
	@scripts/setup

setup-dev:
	@scripts/setup --dev

demo: setup
	@.venv/bin/python -m loadgen demo

PYTEST = .venv/bin/python -m pytest -n 4 --dist worksteal

test: setup-dev
	@scripts/system-packages
	$(PYTEST) $(PYTEST_ARGS)

coverage: setup-dev
	@scripts/system-packages
	$(PYTEST) --cov --cov-report=term --cov-fail-under=90 $(PYTEST_ARGS)

check: setup-dev
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo

format: setup-dev
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

observe: setup
	@scripts/observe

soak: setup-dev
	.venv/bin/python -m bench.signals
	.venv/bin/python -m bench.kills
	.venv/bin/python -m bench.hostile
	.venv/bin/python -m bench.soak
	.venv/bin/python -m bench.any_workload
	.venv/bin/python -m bench.imported
	.venv/bin/python -m bench.simplyload_kills
	.venv/bin/python -m bench.simplyload_rate
	.venv/bin/python -m bench.torn_reads
	.venv/bin/python -m bench.backend_kills

bench: setup-dev
	.venv/bin/python -m bench

EMULATORS = tests/emulators/requirements
# The development lock first: the other may hold nothing that it does not.
COMPILE = pip compile --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --annotation-style line --custom-compile-command "make lock"
lock:
	uv="$$(scripts/setup --uv)"; \
	"$$uv" $(COMPILE) pyproject.toml --all-extras --group dev -o requirements-dev.lock; \
	"$$uv" $(COMPILE) pyproject.toml --extra demo -c requirements-dev.lock -o requirements.lock; \
	"$$uv" $(COMPILE) $(EMULATORS).in -o $(EMULATORS).lock
	sed 's/-c requirements-dev.lock, //; s/, -c requirements-dev.lock//' requirements.lock >.lock
	mv .lock requirements.lock

build: setup-dev
	uv="$$(scripts/setup --uv)"; \
	"$$uv" build --quiet --wheel --no-build-isolation --python .venv/bin/python

RESET = from loadgen.source.embedded import server; from pathlib import Path; \
  from loadgen.tools.runners import background; here = Path.cwd(); \
  tools = [*here.glob('.loadgen/tools/*/')]; \
  [background.stop(one) for one in tools]; [server.reset(one) for one in (*tools, here)]
clean:
# Whatever DATABASE_URL says, the server of this folder is meant, and those of its local tools.
	@[ ! -d .loadgen ] || .venv/bin/python -c "$(RESET)" || { \
	  echo "clean: this folder's Postgres is still there: make setup, then make clean again" >&2; \
	  exit 1; }
	rm -rf .venv infra/.venv .tools .loadgen dist build .coverage .coverage.* htmlcov
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
