"""A tiny network with the temporal Mamba, with made-up weights by the names of its checkpoint."""

from __future__ import annotations

import dataclasses
from functools import cache

import torch
from torch import Tensor

from tests.support.recorded import tiny_config, weights
from unianimate_core.checkpoint import load_unet
from unianimate_core.checkpoint.loading import network_entries
from unianimate_core.config import MambaConfig, ModelConfig
from unianimate_core.model import UNet


@cache
def mamba_config(expand: int = 2, keep_ff: bool = True) -> ModelConfig:
    return dataclasses.replace(tiny_config(), mamba=MambaConfig(expand=expand, keep_ff=keep_ff))


@cache
def mamba_weights(expand: int = 2, keep_ff: bool = True) -> dict[str, Tensor]:
    """The checkpoint of the tiny network in that form. Shared: do not write to it."""
    entries = network_entries(mamba_config(expand, keep_ff))
    made = weights({name: entry.stored_shape for entry in entries for name in entry.stored_names})
    return {name: _recurrent(name, x) for name, x in made.items()}


def _recurrent(name: str, x: Tensor) -> Tensor:
    """Values as training starts with, each a little different, where others would make no recurrence at all."""
    if name.endswith(("A_log", "A_b_log")):
        return torch.arange(1, x.shape[1] + 1).log() + 0.1 * x
    if "dt_proj" in name and name.endswith("bias"):
        return x - 3
    if name.endswith("alpha"):
        return x + 0.5
    return x


@cache
def mamba_unet(expand: int = 2, keep_ff: bool = True) -> UNet:
    """The network in fp32. Shared: do not change it."""
    return load_unet(mamba_weights(expand, keep_ff), config=mamba_config(expand, keep_ff))
