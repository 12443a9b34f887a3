"""Loads a network from a checkpoint, strictly, and writes checkpoints."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..config import ConfigError, ModelConfig
from ..model import UNet
from ..model.backend import Attention, Backend
from ..storage.atomic import check_room
from ..storage.safetensors_file import write_safetensors
from . import files, names
from .files import CheckpointError
from .identify import UNIANIMATE, identify

METADATA_KEY = "unianimate"
HEAD_DIM_TENSOR = "unianimate.head_dim"
_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "module.", "unet.")


def load_unet(
    source: str | os.PathLike | Mapping[str, Tensor],
    *,
    config: ModelConfig | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    operations: Any = nn,
    attention: Attention | None = None,
    scan: str = Backend.scan,
) -> UNet:
    """A network with the weights of a checkpoint, in evaluation mode.

    source: path of a .pth or .safetensors file, or tensors by their checkpoint names.
    config: by default it is read off the shapes of the tensors. dtype: by default that of the checkpoint.
    operations, attention: see model.backend.Backend. scan: back end of the temporal Mamba, see scan.selective_scan.
    Tensors are converted one by one; those that need no conversion stay mapped to the file.
    Raises FileNotFoundError, and CheckpointError if the file cannot be read or a tensor is missing, unexpected or
    misshapen.
    """
    state_dict, config = read_checkpoint(source, config)
    dtype = dtype or stored_dtype(state_dict)
    unet = UNet(config, dtype=dtype, device="meta", operations=operations, attention=attention, scan=scan)
    unet.load_state_dict(to_modules(state_dict, config, device=device, dtype=dtype), assign=True)
    return unet.requires_grad_(False).eval()


def stored_dtype(state_dict: Mapping[str, Tensor]) -> torch.dtype:
    """The precision of a checkpoint. A few of its tensors may be fp32 all the same, see names.precision_of."""
    return state_dict["time_embed.0.weight"].dtype


def read_checkpoint(
    source: str | os.PathLike | Mapping[str, Tensor], config: ModelConfig | None = None
) -> tuple[dict[str, Tensor], ModelConfig]:
    """The tensors of a UniAnimate checkpoint by their published names, checked, and its configuration.

    Removes the prefixes that hosts and wrappers add to the names. Raises the errors of load_unet.
    """
    if isinstance(source, Mapping):
        label, state_dict, metadata = "the state dict", dict(source), {}
    else:
        label = Path(source).name
        state_dict, metadata = files.read(source)
    state_dict = _without_prefix(state_dict)
    head_dim = _head_dim(label, state_dict, metadata)
    try:
        config = config or ModelConfig.from_state_dict(state_dict, head_dim=head_dim)
    except ConfigError as error:
        raise CheckpointError(_wrong_file(label, state_dict, error)) from error
    _check(label, state_dict, config)
    return state_dict, config


def _wrong_file(label: str, state_dict: Mapping[str, Tensor], error: ConfigError) -> str:
    """The sentence for tensors that are not those of UniAnimate."""
    kind = identify(state_dict)
    if kind is None or kind == UNIANIMATE:
        return f"{label} cannot be loaded: {error}"
    return f"{label} looks like {kind}: choose unianimate_16f_32f_non_ema_223000.pth or a conversion of it"


def _without_prefix(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in _PREFIXES:
        if any(name.startswith(f"{prefix}dwpose_embedding.") for name in state_dict):
            kept = {name[len(prefix) :]: tensor for name, tensor in state_dict.items() if name.startswith(prefix)}
            marker = {name: tensor for name, tensor in state_dict.items() if name == HEAD_DIM_TENSOR}
            return kept | marker
    return state_dict


def _head_dim(label: str, state_dict: dict[str, Tensor], metadata: Mapping[str, str]) -> int:
    """The head size from the metadata or from a marker tensor, which is removed; otherwise 64, as released."""
    marker = state_dict.pop(HEAD_DIM_TENSOR, None)
    if marker is not None:
        return int(marker)
    if METADATA_KEY not in metadata:
        return 64
    try:
        return int(json.loads(metadata[METADATA_KEY])["head_dim"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{label} has metadata '{METADATA_KEY}' that is no configuration ({metadata[METADATA_KEY][:80]!r}): "
            "write the file again"
        ) from error


def metadata_of(config: ModelConfig) -> dict[str, str]:
    """The configuration as metadata of a safetensors file. Loading needs only head_dim: shapes give the rest."""
    return {METADATA_KEY: json.dumps(asdict(config))}


@cache
def network_entries(config: ModelConfig) -> tuple[names.Entry, ...]:
    """For each parameter of a network with this configuration, how a checkpoint stores it."""
    unet = UNet(config, device="meta")
    return tuple(names.entries(config, {name: tuple(p.shape) for name, p in unet.state_dict().items()}))


def _check(label: str, state_dict: Mapping[str, Tensor], config: ModelConfig) -> None:
    """Raises CheckpointError, naming up to five tensors of each problem, unless the tensors fit the network exactly."""
    expected = {name: entry.stored_shape for entry in network_entries(config) for name in entry.stored_names}
    missing = [name for name in expected if name not in state_dict]
    unexpected = [name for name in state_dict if name not in expected]
    misshapen = [
        f"{name} {list(state_dict[name].shape)} for {list(shape)}"
        for name, shape in expected.items()
        if name in state_dict and tuple(state_dict[name].shape) != shape
    ]
    no_weights = [f"{name} {t.dtype}" for name, t in state_dict.items() if not t.is_floating_point()]
    problems = [
        f"{len(found)} {kind} ({', '.join(found[:5])}{', ...' if len(found) > 5 else ''})"
        for kind, found in (
            ("missing", missing),
            ("unexpected", unexpected),
            ("misshapen", misshapen),
            ("of whole numbers", no_weights),
        )
        if found
    ]
    if problems:
        raise CheckpointError(f"{label} does not fit the network: tensors {'; '.join(problems)}")


def to_modules(
    state_dict: Mapping[str, Tensor],
    config: ModelConfig,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> dict[str, Tensor]:
    """The parameters of the network by name, from checkpoint tensors that read_checkpoint has checked."""
    return {
        entry.name: names.stack(
            entry, [state_dict[name].to(device, names.precision_of(name, dtype)) for name in entry.stored_names]
        )
        for entry in network_entries(config)
    }


def to_checkpoint(parameters: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Checkpoint tensors by their published names, from the parameters of the network."""
    stored: dict[str, Tensor] = {}
    for entry in network_entries(config):
        stored |= names.unstack(entry, parameters[entry.name])
    return stored


def _converted(name: str, tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """The tensor in the new precision. Raises CheckpointError if a value is not finite, or too large for it."""
    converted = tensor.to(names.precision_of(name, dtype)).contiguous()
    if not torch.isfinite(converted).all():
        if torch.isfinite(tensor).all():
            raise CheckpointError(f"{name} holds values too large for {dtype}: convert to bf16 or fp32")
        raise CheckpointError(f"{name} holds values that are not numbers: the checkpoint is damaged, get it again")
    return converted


def convert_checkpoint(
    source: str | os.PathLike,
    destination: str | os.PathLike,
    dtype: torch.dtype = torch.float16,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Check a checkpoint and write it to safetensors, with the same names. The file is either whole or absent.

    progress(done, total): called after each tensor.
    Raises ValueError if destination does not end in .safetensors, the errors of load_unet, and NoRoom if the disk is
    too full, before any tensor is converted.
    """
    check_suffix(destination)
    state_dict, config = read_checkpoint(source)
    check_room(destination, sum(tensor.numel() for tensor in state_dict.values()) * dtype.itemsize)
    converted: dict[str, Tensor] = {}
    for done, name in enumerate(list(state_dict), start=1):
        converted[name] = _converted(name, state_dict.pop(name), dtype)
        if progress is not None:
            progress(done, done + len(state_dict))
    write_safetensors(destination, converted, metadata_of(config))


def check_suffix(destination: str | os.PathLike) -> None:
    """Raises ValueError unless the name ends in .safetensors: under another suffix it would be read as a pickle."""
    if Path(destination).suffix != ".safetensors":
        raise ValueError(f"destination is {Path(destination).name}: give a name that ends in .safetensors")
