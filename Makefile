# Every target sets up what it needs in .venv; nothing but Python 3.11+ and make is asked for.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOAK_STAMP := $(VENV)/.soak-installed
NIRS4ALL_VENV ?= .venv-nirs4all
NIRS4ALL_STAMP := $(NIRS4ALL_VENV)/.installed
FRAMEWORKS_VENV ?= .venv-frameworks
FRAMEWORKS_STAMP := $(FRAMEWORKS_VENV)/.installed
SECONDS ?= 3600
BENCH_VENV ?= .venv-bench
BENCH_STAMP := $(BENCH_VENV)/.installed
SIZES ?= 1000000
BENCH ?=
WORKSPACE ?= demo-workspace

.PHONY: help demo test test-frameworks test-nirs4all lint format bench bench-large soak clean

help:  ## what can be made
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /  \1\t/'

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "chainfold needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,test,lint]'
	touch $(STAMP)

demo: $(STAMP)  ## run the main job on real data, and leave the workspace to be looked at
	$(BIN)/chainfold demo $(WORKSPACE)

test: $(STAMP) lint  ## run the tests, the linters and the type checks
	$(BIN)/python -m pytest -n auto --dist loadscope

lint: $(STAMP)  ## run the linters and the type checks only
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

format: $(STAMP)  ## put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(FRAMEWORKS_STAMP): pyproject.toml tests/formats/requirements.txt
	$(PYTHON) -m venv $(FRAMEWORKS_VENV)
	$(FRAMEWORKS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/formats/requirements.txt
	$(FRAMEWORKS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $(FRAMEWORKS_STAMP)

test-frameworks: $(FRAMEWORKS_STAMP)  ## try the formats of torch, keras, xgboost, lightgbm, catboost, onnx and skops with the libraries
	REQUIRE_FRAMEWORKS=1 KERAS_BACKEND=torch $(FRAMEWORKS_VENV)/bin/python -m pytest tests/formats

$(NIRS4ALL_STAMP): pyproject.toml tests/nirs4all/requirements.txt
	$(PYTHON) -m venv $(NIRS4ALL_VENV)
	$(NIRS4ALL_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/nirs4all/requirements.txt
	$(NIRS4ALL_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $(NIRS4ALL_STAMP)

test-nirs4all: $(NIRS4ALL_STAMP)  ## run nirs4all's own pipelines on chainfold, beside nirs4all alone
	$(NIRS4ALL_VENV)/bin/python -m pytest tests/nirs4all

soak: $(SOAK_STAMP)  ## every fault and every law for SECONDS (an hour), and the figures; as root on Linux
	REQUIRE_ALL=1 $(BIN)/python -m tests.faults.soak --seconds $(SECONDS)

$(SOAK_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[soak]'
	touch $(SOAK_STAMP)

$(BENCH_STAMP): pyproject.toml constraints.txt benchmarks/bench-requirements.txt benchmarks/nirs4all-requirements.txt
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo]' -r benchmarks/bench-requirements.txt
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r benchmarks/nirs4all-requirements.txt
	touch $(BENCH_STAMP)

bench: $(BENCH_STAMP)  ## measure beside the floor and the peers, up to 100,000 records (minutes); BENCH="--quick" to try
	$(BENCH_VENV)/bin/python -m benchmarks $(BENCH)

bench-large: $(BENCH_STAMP)  ## the same with 1,000,000 records (hours); SIZES="1000000 10000000" for more of chainfold
	$(BENCH_VENV)/bin/python -m benchmarks --name large --sizes 1000 10000 100000 $(SIZES) \
		--runs 1000 10000 100000 --rollbacks 1000 10000 20000 --limit 600 --patience 600 --readme $(BENCH)

clean:  ## remove what the targets made
	rm -rf $(VENV) $(BENCH_VENV) $(NIRS4ALL_VENV) $(FRAMEWORKS_VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
