"""From a checkpoint with temporal Transformers to one with the temporal Mamba, as the start of its training.

Kept as they are: every tensor outside the temporal modules; of each temporal module its norm, proj_in and proj_out; and
with keep_ff its feed-forward and the norm before it (transformer_blocks.0.norm3, now mamba_blocks.0.norm2). Both
attentions with their norms are left out.

New, from the seed, block after block in the order of the network, as training from nothing starts: norm1 is 1 and 0;
alpha is 1; A_log is log(1..16) and D is 1; dt_proj is uniform within R^-1/2, its bias the inverse softplus of a step
size log-uniform in [0.001, 0.1]; in_proj, x_proj, out_proj and conv1d as PyTorch initializes linear layers and
convolutions, uniform within fan_in^-1/2 (their inputs to one output). They are random: the network must be trained.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from ..config import MambaConfig, ModelConfig
from ..model import UNet
from ..model.backend import Backend
from ..model.mamba import MambaBlock
from ..storage.atomic import replacing
from .files import CheckpointError
from .loading import metadata_of, network_entries, read_checkpoint, stored_dtype
from .names import precision_of, unstack

INNER = ".temporal.block."  # in the names of parameters of what is exchanged
_FEED_FORWARD = {"norm2": "norm3", "feed_forward": "feed_forward"}  # of which Transformer's parts these are


def to_mamba(
    state_dict: Mapping[str, Tensor], config: ModelConfig, mamba: MambaConfig, seed: int = 0
) -> tuple[dict[str, Tensor], ModelConfig]:
    """Checkpoint tensors with the temporal Mamba made of those of a Transformer, and their configuration.

    Raises CheckpointError where the temporal modules are Mamba already.
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
            if ".temporal." in entry.name:  # trained in the student, and not in the teacher it came from
                kept = [tensor.clone() for tensor in kept]
            tensors |= zip(entry.stored_names, kept, strict=True)
    return tensors, new_config


def convert_to_mamba(
    source: str | os.PathLike, destination: str | os.PathLike, mamba: MambaConfig, *, seed: int = 0
) -> None:
    """Read a checkpoint, and write it as safetensors with the temporal Mamba; an unfinished file never stays behind.

    Each tensor keeps its precision, and new ones take that of the rest; A, D and alpha are fp32.
    Raises CheckpointError as load_unet does, ValueError for a name that is no safetensors, OSError for a full disk.
    """
    if Path(destination).suffix != ".safetensors":
        raise ValueError(f"destination is {Path(destination).name}: give a name that ends in .safetensors")
    tensors, config = to_mamba(*read_checkpoint(source), mamba, seed)
    with replacing(destination, expected_bytes=sum(tensor.nbytes for tensor in tensors.values())) as path:
        contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
        save_file(contiguous, path, metadata=metadata_of(config) | {"format": "pt"})


def _kept_as(parameter: str) -> str | None:
    """The Transformer's parameter that this one of the Mamba network is, or None where it has none."""
    module, inner, rest = parameter.partition(INNER)
    if not inner:
        return parameter
    part, _, kind = rest.partition(".")
    return f"{module}{INNER}{_FEED_FORWARD[part]}.{kind}" if part in _FEED_FORWARD else None


def _new_parameters(config: ModelConfig, seed: int) -> dict[str, Tensor]:
    """Parameters of every temporal module's block, by name."""
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
