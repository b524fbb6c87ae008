# make sweep ARGS="search.samples=2 training.epochs=2 --out runs/try"
# make test
# make check
# make oldest newest    (both ends of what setup.cfg allows, each in an environment of its own)
# make docs     (the site, into site/)
# make bench ARGS=start_up    (all benchmarks without ARGS; hours, on a machine that does nothing else)

PYTHON ?= python3
TORCH ?= 2.13.0
ARGS ?=
EVERY ?= 1

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
REQUIREMENTS := setup.cfg setup.py pyproject.toml constraints.txt
RIM := tests/models tests/spaces tests/trainables tests/results

# Tests start many processes, each of which would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: sweep test check lint types types-windows doc-tests docs bench oldest newest oldest-torch newest-torch
.DELETE_ON_ERROR:

sweep: $(VENV)/installed
	$(BIN)/glosstune sweep $(ARGS)

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: lint types types-windows doc-tests

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-dev
	$(BIN)/python -m mypy -p glosstune

types-windows: $(VENV)/installed-dev
	$(BIN)/python -m mypy -p glosstune --platform win32 --cache-dir .mypy_cache/win32

doc-tests: $(VENV)/installed-dev
	$(BIN)/python -m pytest tests/test_docs.py tests/test_packaging.py tests/test_architecture.py

# From nothing each time, since the newest are others every day. torch is the same as elsewhere. With EVERY=12 each twelfth
# of the tests alone.
oldest: PINS := -c constraints-oldest.txt
newest: PINS :=
oldest newest: %: %-torch $(VENV)/installed-dev
	$(BIN)/uv pip install --python .venv-$@/bin/python $(PINS) -e '.[demo,test]' \
		|| .venv-$@/bin/python -m pip install $(PINS) -e '.[demo,test]'
	.venv-$@/bin/python -m pytest -p no:cacheprovider -m "not slow" --hypothesis-profile=few --every=$(EVERY) $(RIM)
	.venv-$@/bin/glosstune sweep model.width=0.25 corpus.sentences=24 search.samples=2 training.epochs=2 \
		pretraining.steps=10 --out .venv-$@/sweep

oldest-torch newest-torch: %-torch:
	rm -rf .venv-$*
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --no-compile torch==$(TORCH)

# What is a warning elsewhere fails here, such as a link or an anchor that leads nowhere.
docs: $(VENV)/installed-dev
	rm -rf site
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --fresh-env --conf-dir docs/site . site
	@echo site/index.html

bench: $(VENV)/installed-dev
	PYTHONPATH=benchmarks $(BIN)/python -m suite $(ARGS)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# A torch that is there stays, whatever its build: only where there is none is this one installed.
$(VENV)/torch: | $(BIN)/python
	$(BIN)/python -c 'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)' \
		|| $(PIP) install --no-compile -c constraints.txt torch==$(TORCH)
	touch $@

$(VENV)/installed: $(REQUIREMENTS) | $(VENV)/torch
	$(PIP) install -c constraints.txt -e '.[demo]'
	touch $@

# By uv, which is done in seconds where pip takes minutes, or by pip where uv finds no index.
$(VENV)/installed-dev: $(REQUIREMENTS) | $(VENV)/torch
	$(PIP) install -c constraints.txt uv
	$(BIN)/uv pip install --python $(BIN)/python -c constraints.txt -e '.[demo,dev]' \
		|| $(PIP) install -c constraints.txt -e '.[demo,dev]'
	touch $(VENV)/installed $@
