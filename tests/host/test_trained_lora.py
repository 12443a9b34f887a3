"""A LoRA from our trainer has the same effect in ComfyUI's loader as merged into the weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.host.graphs import latent_of, node_of, patched
from tests.host.made_up import CHECKPOINT
from tests.support.training import RUN, SETTINGS, Squares, linear
from unianimate_core.checkpoint import load_unet, to_checkpoint
from unianimate_core.checkpoint.loading import metadata_of
from unianimate_core.training.data.prepare import prepare_sequences, prepared_sequences
from unianimate_core.training.loop.run import Run
from unianimate_core.training.loop.trainer import make_accelerator, train_run
from unianimate_core.training.loss import DenoisingLoss, empty_text
from unianimate_core.training.network.lora import LoraAdapters
from unianimate_core.training.network.weights import loaded_unet

pytestmark = pytest.mark.host
RANK = 2


def trained_lora(checkpoint, folder):
    """The file of a LoRA trained for a few steps at a high learning rate, so that it has a visible effect."""
    settings = replace(SETTINGS, lora_rank=RANK, learning_rate=0.05, dropout=0.0, ema_decay=0.0)
    unet = loaded_unet(checkpoint, dropout=0.0, device=torch.device("cpu"))
    prepare_sequences(Squares(), folder / "data", linear())
    run = Run(
        folder=folder / "run",
        settings=settings,
        run_settings=replace(RUN, steps=3),
        unet=unet,
        trained=LoraAdapters(unet, RANK),
        loss=DenoisingLoss(unet, empty_text(unet.config), settings),
        sequences=prepared_sequences(Squares(), folder / "data", linear()),
    )
    return train_run(run, make_accelerator(settings))


def merged(checkpoint, lora) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """The checkpoint with the LoRA added to its weights, and its metadata."""
    unet, factors = load_unet(checkpoint), load_file(lora)
    for name, weight in unet.named_parameters():
        key = f"diffusion_model.{name.removesuffix('.weight')}"
        if f"{key}.alpha" in factors:
            weight += factors[f"{key}.lora_B.weight"].float() @ factors[f"{key}.lora_A.weight"].float()
    tensors = to_checkpoint(unet.state_dict(), unet.config)
    return {name: tensor.contiguous() for name, tensor in tensors.items()}, metadata_of(unet.config)


def test_a_loaded_lora_equals_one_merged_into_the_weights(host, workflow, tmp_path):
    models = host.base / "models"
    checkpoint = models / "unianimate" / CHECKPOINT
    lora = trained_lora(checkpoint, tmp_path)
    (models / "loras" / "trained.safetensors").write_bytes(lora.read_bytes())
    tensors, metadata = merged(checkpoint, lora)
    save_file(tensors, models / "unianimate" / "merged.safetensors", metadata)
    name, sampler = "unianimate_clip", "UniAnimateSample"

    plain, _ = latent_of(host, workflow(name), sampler)
    loader = {"lora_name": "trained.safetensors", "strength_model": 1.0}
    adapted, _ = latent_of(host, patched(workflow(name), sampler, "LoraLoaderModelOnly", **loader), sampler)
    graph = workflow(name)
    graph[node_of(graph, "LoadUniAnimate")]["inputs"]["checkpoint"] = "merged.safetensors"
    expected, _ = latent_of(host, graph, sampler)

    assert "lora key not loaded" not in host.log()
    assert (expected - plain).norm() > 0.01 * plain.norm(), "the LoRA has no visible effect"
    assert (adapted - expected).norm() < 0.02 * (expected - plain).norm()
