# Everything happens in .venv; what is installed already is not installed again.
# pip's own settings (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, a pip.conf) are honoured.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test test-all lint types format bench clean

demo: $(STAMP) ## Run the quickstart, then predict with its bundle.
	$(BIN)/hft run examples/quickstart/recipe.yaml
	$(BIN)/hft predict --format table examples/quickstart/runs/quickstart/bundle \
	  "The zip broke on day two and nobody answers my mails." \
	  "The strap is short, the colour is wrong, and I love it." \
	  "Not the quietest kettle, but I would buy it again tomorrow."

test: $(STAMP) ## The quick tests.
	$(BIN)/pytest -q -m "not slow"

test-all: $(STAMP) ## All tests.
	$(BIN)/pytest -q

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## The benchmarks of docs/benchmarks.md; they take a while.
	$(BIN)/python -m tests.benchmarks.startup
	$(BIN)/python -m tests.benchmarks.sst2

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'hft needs Python 3.11 or newer; set PYTHON=python3.11')"
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade "pip>=25.1"
	$(BIN)/python -m pip install -q -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install -q -c constraints.txt -e ".[train,embedded,lora,lion]" --group dev
	touch $(STAMP)
