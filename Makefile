# Two commands for a new machine: `make demo` and `make test`. Each makes its own `.venv`.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: demo test slow check format clean

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

## Search a network for scikit-learn's digits and leave an int8 model.tflite in demo/.
demo: $(INSTALLED)
	$(BIN)/kerasnas search --dataset digits --limit flash=32KB --max-time 6m --output demo --overwrite
	$(BIN)/python benchmarks/recompute_digits.py demo/model.tflite

## The tests, side by side on 2 cores.
test: $(INSTALLED)
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

## Tests that train or convert for longer.
slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

## Format, lint, types and the fast tests: what every commit passes.
check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf .venv demo build *.egg-info
