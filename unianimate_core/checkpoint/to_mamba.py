"""Replaces the temporal Transformers of a checkpoint by untrained temporal Mambas, from which training starts.

Unchanged are all tensors outside the temporal modules; the norm, proj_in and proj_out of each temporal module; and with
keep_ff its feed-forward and the norm before it (transformer_blocks.0.norm3 becomes mamba_blocks.0.norm2). Both
attentions and their norms are dropped.

New tensors are made from the seed, block after block in the order of the network, with the values that training from
scratch starts with: norm1 is 1 and 0; alpha is 1; A_log is log(1..16); D is 1; dt_proj is uniform within R^-1/2, and
its bias is the inverse softplus of a step size log-uniform in [0.001, 0.1]; in_proj, x_proj, out_proj and conv1d are
uniform within fan_in^-1/2 (fan_in: the number of inputs to one output), as PyTorch initializes them. They are random,
so the network must be trained before use.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

import torch
from torch import Tensor

from ..config import MambaConfig, ModelConfig
from ..model import UNet
from ..model.backend import Backend
from ..model.mamba import MambaBlock
from ..storage.safetensors_file import write_safetensors
from .files import CheckpointError
from .loading import check_suffix, metadata_of, network_entries, read_checkpoint, stored_dtype
from .names import precision_of, unstack

INNER = ".temporal.block."  # the part of a parameter's name that marks what is replaced
_FEED_FORWARD = {"norm2": "norm3", "feed_forward": "feed_forward"}  # the Mamba's parts: those of the Transformer


def to_mamba(
    state_dict: Mapping[str, Tensor], config: ModelConfig, mamba: MambaConfig, seed: int = 0
) -> tuple[dict[str, Tensor], ModelConfig]:
    """Tensors of a checkpoint with the temporal Mamba, from those of one with Transformers, and their configuration.

    Raises CheckpointError if the temporal modules are Mamba already.
    """
    if config.mamba is not None:
        raise CheckpointError("the temporal modules are Mamba already: give a checkpoint with temporal Transformers")
    new_config = dataclasses.replace(config, mamba=mamba)
    stored_names = {entry.name: entry.stored_names for entry in network_entries(config)}
    new, dtype = _new_parameters(new_config, seed), stored_dtype(state_dict)
    tensors: dict[str, Tensor] = {}
    for entry in network_entries(new_config):
        source = _kept_as(entry.name)
        if source is None:
            values = unstack(entry, new[entry.name])
            tensors |= {name: value.to(precision_of(name, dtype)) for name, value in values.items()}
        else:
            kept = [state_dict[name] for name in stored_names[source]]
            if ".temporal." in entry.name:  # distillation trains it in the student but not in the teacher
                kept = [tensor.clone() for tensor in kept]
            tensors |= zip(entry.stored_names, kept, strict=True)
    return tensors, new_config


def convert_to_mamba(
    source: str | os.PathLike, destination: str | os.PathLike, mamba: MambaConfig, *, seed: int = 0
) -> None:
    """Read a checkpoint and write it to safetensors with the temporal Mamba. The file is either whole or absent.

    Each tensor keeps its precision. New tensors have the precision of the others, but A, D and alpha are fp32.
    Raises ValueError if destination does not end in .safetensors, the errors of load_unet, and NoRoom if the disk is
    too full.
    """
    check_suffix(destination)
    tensors, config = to_mamba(*read_checkpoint(source), mamba, seed)
    write_safetensors(destination, tensors, metadata_of(config))


def _kept_as(parameter: str) -> str | None:
    """The parameter of the Transformer network that becomes this one of the Mamba network; None for a new one."""
    module, inner, rest = parameter.partition(INNER)
    if not inner:
        return parameter
    part, _, kind = rest.partition(".")
    return f"{module}{INNER}{_FEED_FORWARD[part]}.{kind}" if part in _FEED_FORWARD else None


def _new_parameters(config: ModelConfig, seed: int) -> dict[str, Tensor]:
    """Untrained parameters of the block of every temporal module, by name."""
    assert config.mamba is not None
    unet = UNet(config, device="meta")
    made: dict[str, Tensor] = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name, module in unet.named_modules():
            if isinstance(module, MambaBlock):
                block = MambaBlock(module.norm1.normalized_shape[0], config.mamba, Backend(dtype=torch.float32))
                made |= {f"{name}.{parameter}": value for parameter, value in block.state_dict().items()}
    return made
