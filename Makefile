# Every target first creates .venv if it is missing; PYTHON=python3.12 chooses its Python.
#
#   make demo        animate a drawn person with UniAnimate-mini; installs only what that needs
#   make test        the quick tests: about three minutes on two cores
#   make test-slow   the tests marked slow
#   make test-all    both, with ten times as many random examples of each property
#   make lint        ruff and pyright
#   make mini, make mini-mamba, make mini-vae
#                    train the files in models/mini again, on two cores; each continues where it stopped
#
# ARGS goes to pytest: make test ARGS="tests/core -k ddim". JOBS=0 runs the tests in one process, for a debugger.
# A run of test-all is repeated with the SEED that it printed.

PYTHON ?= python3
JOBS ?= 2
SEED ?= $(shell date +%s)
BIN := .venv/bin
# Each file is touched when its packages are installed. What the tests need includes what the demo needs.
DEMO := .venv/.ready-demo
READY := .venv/.ready
PIP := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off
# Each test file stays in one process, so that its tests run in their order and share their fixtures.
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile

CORE := $(BIN)/python -m unianimate_core
TRAIN := OMP_NUM_THREADS=1 ACCELERATE_USE_CPU=true $(BIN)/python -m torch.distributed.run --standalone --nproc-per-node 2 \
	-m unianimate_core train
NETWORKS := models/mini/unianimate
VAE := models/mini/vae/unianimate_mini_vae.safetensors

.PHONY: demo test test-slow test-all lint mini mini-mamba mini-vae

demo: $(DEMO)
	$(CORE) demo --output demo.mp4

test: $(READY)
	$(PYTEST) -m "not slow" $(ARGS)

test-slow: $(READY)
	$(PYTEST) -m slow $(ARGS)

test-all: $(READY)
	HYPOTHESIS_PROFILE=thorough $(PYTEST) --hypothesis-seed=$(SEED) $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

mini: $(READY)
	$(TRAIN) build/mini --preset mini --vae $(VAE)
	cp build/mini/unianimate.safetensors $(NETWORKS)/unianimate_mini.safetensors

mini-mamba: $(READY)
	$(CORE) to-mamba $(NETWORKS)/unianimate_mini.safetensors build/mamba_start.safetensors --keep-ff
	$(TRAIN) build/mini-distilled --preset mini-mamba --steps 300 --learning-rate 0.01 --cache build/mini/data --vae $(VAE) \
		--init build/mamba_start.safetensors --distill $(NETWORKS)/unianimate_mini.safetensors
	$(TRAIN) build/mini-mamba --preset mini-mamba --cache build/mini/data --vae $(VAE) \
		--init build/mini-distilled/unianimate.safetensors
	cp build/mini-mamba/unianimate.safetensors $(NETWORKS)/unianimate_mini_mamba.safetensors

mini-vae: $(READY)
	$(CORE) train-vae --output build/first.safetensors
	$(CORE) train-vae --output build/vae.safetensors --decoder-of build/first.safetensors \
		--steps 1200 --seed 1 --learning-rate 0.003
	cp build/vae.safetensors $(VAE)

$(DEMO): pyproject.toml requirements-dev.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) $$(grep '^torch==' requirements-dev.txt) -e ".[demo]"
	touch $@

$(READY): pyproject.toml requirements-dev.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) -r requirements-dev.txt
	touch $(DEMO) $@
