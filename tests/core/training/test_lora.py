"""A LoRA is trained through peft, and stored under the names that ComfyUI derives from the modules."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from safetensors.torch import load_file

from tests.support.training import RUN, SETTINGS, equal, inputs, make_run, make_unet, newest, spread
from unianimate_core.training.loop.trainer import make_accelerator, train_run
from unianimate_core.training.network.lora import LoraAdapters

RANK = 3
LORA = replace(SETTINGS, lora_rank=RANK, learning_rate=1e-2)


def trained(folder, steps: int) -> dict[str, torch.Tensor]:
    run = make_run(folder, LORA, replace(RUN, steps=steps), trained=partial(LoraAdapters, rank=RANK))
    return load_file(train_run(run, make_accelerator(LORA)))


def test_keys_name_layers_as_comfyui_does(tmp_path):
    """Each layer has both factors and the scale, under ComfyUI's prefix."""
    stored = trained(tmp_path / "run", 2)
    layers = {name.rsplit(".lora_", 1)[0] for name in stored if ".lora_" in name}
    modules = dict(make_unet().named_modules())
    assert "diffusion_model.down.0.stages.0.spatial.block.self_attention.qkv" in layers
    assert "diffusion_model.stem.temporal.block.attention1.out" in layers
    assert set(stored) == {
        f"{layer}.{kind}" for layer in layers for kind in ("lora_A.weight", "lora_B.weight", "alpha")
    }
    for layer in layers:
        weight = modules[layer.removeprefix("diffusion_model.")].weight
        assert stored[f"{layer}.lora_A.weight"].shape == (RANK, weight.shape[1])
        assert stored[f"{layer}.lora_B.weight"].shape == (weight.shape[0], RANK)
        assert stored[f"{layer}.alpha"] == RANK
    assert any(stored[f"{layer}.lora_B.weight"].abs().max() > 0 for layer in layers), "nothing was learned"


def test_only_the_adapters_learn():
    unet = make_unet()
    adapters = LoraAdapters(unet, RANK)
    assert all(parameter.requires_grad == (".lora_" in name) for name, parameter in unet.named_parameters())
    assert adapters.parameters.keys() == {name for name, _ in unet.named_parameters() if ".lora_" in name}


def test_a_lora_merged_into_the_weights_gives_the_trained_network():
    """weight + alpha / rank B A, as a LoRA loader merges it at strength 1."""
    unet, plain = (spread(make_unet(dropout=0.0)).eval() for _ in range(2))
    adapters = LoraAdapters(unet, RANK)
    for parameter in adapters.parameters.values():
        torch.nn.init.normal_(parameter, std=0.2)
    stored = adapters.stored(adapters.parameters)
    x, t, conditions = inputs()
    with torch.no_grad():
        before = plain(x, t, **conditions)
        for name, weight in plain.named_parameters():
            key = f"diffusion_model.{name.removesuffix('.weight')}"
            if f"{key}.alpha" in stored:
                factors = stored[f"{key}.lora_B.weight"] @ stored[f"{key}.lora_A.weight"]
                weight += stored[f"{key}.alpha"] / RANK * factors
        merged = plain(x, t, **conditions)
        adapted = unet(x, t, **conditions)
    assert (adapted - merged).norm() < 1e-4 * (merged - before).norm()


def test_a_lora_run_continues_where_it_stopped(tmp_path):
    whole = trained(tmp_path / "whole", 4)
    trained(tmp_path / "parts", 2)
    assert equal(trained(tmp_path / "parts", 4), whole)
    assert equal(newest(tmp_path / "parts"), newest(tmp_path / "whole"))
