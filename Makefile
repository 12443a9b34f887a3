# make demo, make test and make lint each set up .venv first where it is absent; PYTHON=python3.12 chooses another one.
# Arguments for pytest: make test ARGS="tests/core -k ddim"

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test lint

demo: $(READY)
	$(BIN)/python -m unianimate_core demo --output demo.mp4

test: $(READY)
	$(BIN)/python -m pytest $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

$(READY): pyproject.toml requirements-dev.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -r requirements-dev.txt
	touch $@
