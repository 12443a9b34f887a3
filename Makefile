# make demo, make test and make lint each set up .venv first where it is absent; PYTHON=python3.12 chooses another one.
# make mini, mini-mamba and mini-vae train what is in models/mini again on two cores; repeated, they go on where they stopped.
# Arguments for pytest: make test ARGS="tests/core -k ddim"

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

CORE := $(BIN)/python -m unianimate_core
TRAIN := OMP_NUM_THREADS=1 ACCELERATE_USE_CPU=true $(BIN)/python -m torch.distributed.run --standalone --nproc-per-node 2 \
	-m unianimate_core train
NETWORKS := models/mini/unianimate
VAE := models/mini/vae/unianimate_mini_vae.safetensors

.PHONY: demo test lint mini mini-mamba mini-vae

demo: $(READY)
	$(CORE) demo --output demo.mp4

test: $(READY)
	$(BIN)/python -m pytest $(ARGS)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

mini: $(READY)
	$(TRAIN) build/mini --preset mini --vae $(VAE)
	cp build/mini/unianimate.safetensors $(NETWORKS)/unianimate_mini.safetensors

mini-mamba: $(READY)
	$(CORE) to-mamba $(NETWORKS)/unianimate_mini.safetensors build/mamba_start.safetensors --keep-ff
	$(TRAIN) build/mini-distilled --preset mini-mamba --steps 300 --rate 0.01 --cache build/mini/data --vae $(VAE) \
		--init build/mamba_start.safetensors --distil $(NETWORKS)/unianimate_mini.safetensors
	$(TRAIN) build/mini-mamba --preset mini-mamba --cache build/mini/data --vae $(VAE) \
		--init build/mini-distilled/unianimate.safetensors
	cp build/mini-mamba/unianimate.safetensors $(NETWORKS)/unianimate_mini_mamba.safetensors

mini-vae: $(READY)
	$(CORE) train-vae --output build/first.safetensors
	$(CORE) train-vae --output build/vae.safetensors --decoder-of build/first.safetensors \
		--steps 1200 --seed 1 --learning-rate 0.003
	cp build/vae.safetensors $(VAE)

$(READY): pyproject.toml requirements-dev.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -r requirements-dev.txt
	touch $@
