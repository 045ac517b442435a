# Everything happens in .venv; what is installed already is not installed again.
# pip's own settings (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, a pip.conf) are honoured.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Distributions that live beside hft; each is installed, and tested with everything else.
CONTRIB := $(sort $(wildcard contrib/hft-*/pyproject.toml))
# Files of tests at a time, each on one thread, for models of tests are too small for more: `make test JOBS=8` where there are
# cores and memory (up to 2 GB each).
JOBS ?= 2
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -q -n $(JOBS) --dist loadfile
export OMP_WAIT_POLICY ?= PASSIVE
# hft's modules are compiled once, whatever the machine says, for tests start hundreds of processes.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test test-all test-thorough lint types format bench clean

demo: $(STAMP) ## Run the quickstart, then predict with its bundle.
	$(BIN)/hft run examples/quickstart/recipe.yaml
	$(BIN)/hft predict --format table examples/quickstart/runs/quickstart/bundle \
	  "The zip broke on day two and nobody answers my mails." \
	  "The strap is short, the colour is wrong, and I love it." \
	  "Not the quietest kettle, but I would buy it again tomorrow."

test: $(STAMP) ## The quick tests.
	$(PYTEST) -m "not slow"

test-all: $(STAMP) ## All tests.
	$(PYTEST)

test-thorough: $(STAMP) ## All tests: kills and random changes many times in place of a few, and the dearest benchmarks on a few rows.
	HFT_THOROUGH=1 $(PYTEST)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## All benchmarks of docs/benchmarks.md, which takes long; HFT_DATA and PEER name what they need.
	$(BIN)/python -m tests.benchmarks.startup
	$(BIN)/python -m tests.benchmarks.runtime
	$(BIN)/python -m tests.benchmarks.precisions
	$(BIN)/python -m tests.benchmarks.gpu
	$(BIN)/python -m tests.benchmarks.memory
	$(BIN)/python -m tests.benchmarks.prepare
	$(BIN)/python -m tests.benchmarks.cleaning
	$(BIN)/python -m tests.benchmarks.augmentation
	$(BIN)/python -m tests.benchmarks.kv_cache
	$(BIN)/python -m tests.benchmarks.plumbing
	$(BIN)/python -m tests.benchmarks.masked_lm
	$(BIN)/python -m tests.benchmarks.question_answering
	$(BIN)/python -m tests.benchmarks.search
	$(BIN)/python -m tests.benchmarks.ablation
	$(BIN)/python -m tests.benchmarks.finetuning $(if $(PEER),--peer $(PEER))

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

$(STAMP): pyproject.toml constraints.txt $(CONTRIB)
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'hft needs Python 3.11 or newer; set PYTHON=python3.11')"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade "pip>=25.1"
	$(BIN)/python -m pip install -q -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[train,embedded,lora,lion,tensorboard,clean,sql,text,search]" $(CONTRIB:%/pyproject.toml=-e %) --group dev
	touch $(STAMP)
