# make demo: everything from a fresh clone to a served U-Net. make test: all tests. Needs only Python 3.10 to 3.13.
PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3.10 python3 python; do \
	if $$p -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then echo $$p; break; fi; done)
BIN = .venv/bin
export TF_CPP_MIN_LOG_LEVEL ?= 3

.PHONY: install demo test test-changed lint tensorflow jax fuzz evidence bench docs clean

install: .venv/installed

.venv/installed: setup.py pyproject.toml
	@test -n "$(PYTHON)" || { echo "zoo needs Python 3.10 to 3.13; give one with make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[test,jax]'
	@$(BIN)/python -m pip install --quiet -e '.[align]' || echo "no C compiler: tests of alignments are skipped"
	touch $@

demo: install
	$(BIN)/zoo demo

test: lint tensorflow jax

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# in two runs, and the contract in three processes, as TensorFlow keeps much of what it ever traced
tensorflow: install
	$(BIN)/python -m pytest -n 3 --dist loadgroup tests/contract
	$(BIN)/python -m pytest -n 2 --dist loadgroup --ignore tests/contract

# the tests that a change can affect, as coverage tells; the first call runs all of them
test-changed: install
	$(BIN)/python -m pytest --testmon

jax: install
	KERAS_BACKEND=jax $(BIN)/python -m pytest -n 3 --dist loadgroup tests/contract tests/test_autodiff.py

# wrong arguments for every verb of every preset: many draws, others each time (the contract has a few, always the same)
fuzz: install
	ZOO_FUZZ=$(or $(DRAWS),1000) $(BIN)/python -m pytest -n 2 --dist loadgroup tests/contract/test_wrong_arguments.py

evidence: install
	for recipe in applications/*/train.py; do $(BIN)/python $$recipe || exit 1; done

bench: install
	$(BIN)/python -m pip install --quiet -e '.[bench]'
	for bench in benchmarks/bench_*.py; do $(BIN)/python $$bench || exit 1; done

docs: install
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	$(BIN)/python docs/generate.py
	$(BIN)/mkdocs build --strict

clean:
	rm -rf .venv build dist site *.egg-info .pytest_cache .ruff_cache .mypy_cache
