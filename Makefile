# Every target needs only Python 3.11 or newer; `setup` builds .venv once, until constraints or dependencies change.
# pip compiles no bytecode: of 250 MB a process needs a tenth, which Python writes as it first imports a module.
PYTHON ?= python3
INSTALL := .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
BIN := .venv/bin
STAMP := .venv/.stamp
CLUSTER := .venv/.stamp-cluster
# Where this variable is set Python does not, and each process compiles torch anew: 2 s.
unexport PYTHONDONTWRITEBYTECODE
# Each test worker computes with one thread; two or more workers share the machine. Each begins with a part of its own,
# so that what the tests of a file share is made once, and takes from the others' when it has done its own.
export OMP_NUM_THREADS ?= 1
WORKERS := -n auto --dist worksteal

.PHONY: setup setup-cluster setup-browser demo test test-all test-page check format bench bench-alarms bench-denoised bench-denoiser bench-monitor bench-real docs clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(INSTALL) --editable '.[dev]'
	touch $@

# Ray is large: only the slow tests and the benchmarks wait for it; without it the tests of clusters are skipped.
setup-cluster: $(CLUSTER)

$(CLUSTER): $(STAMP)
	$(INSTALL) --editable '.[dev,cluster]'
	touch $@

demo: setup
	$(BIN)/auscult synth demo/factory --size demo --force
	$(BIN)/auscult run quick --data demo/factory --out demo/run

test: setup
	$(BIN)/python -m pytest $(WORKERS)

test-all: setup-cluster
	$(BIN)/python -m pytest $(WORKERS) -m 'slow or not slow'

# The page in a real browser: Debian's chromium and nodejs, and two packages of npm; elsewhere its tests are skipped.
setup-browser: setup
	npm install --silent --no-audit --no-fund --no-package-lock --prefix tests/browser

test-page: setup-browser
	$(BIN)/python -m pytest -m 'slow or not slow' tests/test_page.py

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests/test_architecture.py

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup-cluster
	$(BIN)/python -m benchmarks.run
	$(BIN)/python -m benchmarks.bounds
	$(BIN)/python -m benchmarks.projection
	$(BIN)/python -m benchmarks.page

bench-real: setup
	$(BIN)/python -m benchmarks.real
	$(BIN)/python -m benchmarks.full_size
	$(BIN)/python -m benchmarks.page

docs: setup
	$(BIN)/python -m benchmarks.parameters
	$(BIN)/python -m benchmarks.page

bench-alarms: setup
	$(BIN)/python -m benchmarks.false_alarms
	$(BIN)/python -m benchmarks.page

bench-monitor: setup
	$(BIN)/python -m benchmarks.monitoring
	$(BIN)/python -m benchmarks.page

bench-denoiser: setup
	$(BIN)/python -m benchmarks.denoiser
	$(BIN)/python -m benchmarks.page

bench-denoised: setup
	$(BIN)/python -m benchmarks.denoised
	$(BIN)/python -m benchmarks.page

clean:
	rm -rf .venv demo dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
