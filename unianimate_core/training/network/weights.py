"""The network in training: made or loaded, and stored by its published names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ...checkpoint import read_checkpoint, to_checkpoint, to_modules
from ...checkpoint.loading import metadata_of
from ...config import ModelConfig
from ...model import UNet
from ...model.residual import ResidualBlock
from ...model.stages import Stage, Stem
from ...model.temporal import TemporalModule
from ...model.transformer import SpatialTransformer
from . import cpu_layers
from .drawn_poses import convolve_only_drawn

TEMPORAL = ".temporal."  # in the names of temporal modules' parameters


def new_unet(config: ModelConfig, *, seed: int, dropout: float, device: torch.device, kind: type[UNet] = UNet) -> UNet:
    """A network to be trained from the beginning: residual branches and the head begin with zeros, as the authors'."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = kind(config, dropout=dropout, split_bytes=None, **_layers(device))
    for module in unet.modules():
        if isinstance(module, ResidualBlock):
            _to_zero(module.stage_out.conv)
            _to_zero(module.temporal_conv.stages[-1].conv)  # pyright: ignore[reportArgumentType]
        elif isinstance(module, (SpatialTransformer, TemporalModule)):
            _to_zero(module.proj_out)
    _to_zero(unet.head.conv)
    return _ready(unet, device)


def loaded_unet(source: str | os.PathLike, *, dropout: float, device: torch.device) -> UNet:
    """A checkpoint's network in fp32, to be trained on. Raises as checkpoint.load_unet does."""
    state_dict, config = read_checkpoint(source)
    unet = UNet(config, dropout=dropout, device="meta", split_bytes=None, **_layers(device))
    unet.load_state_dict(to_modules(state_dict, config, dtype=torch.float32), assign=True)
    return _ready(unet, device)


def _layers(device: torch.device) -> dict[str, Any]:
    return {"operations": cpu_layers, "attention": cpu_layers.attention} if device.type == "cpu" else {}


def _ready(unet: UNet, device: torch.device) -> UNet:
    if device.type == "cpu":
        convolve_only_drawn(unet)
    unet.to(device=device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return unet.requires_grad_(True).train()


def _to_zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def keep_only_borders(unet: UNet) -> None:
    """Gradient checkpointing: of each stage only the input is kept, and its inside computed again going backwards."""
    for module in unet.modules():
        if isinstance(module, (Stage, Stem)):
            inside: Any = partial(checkpoint, module.forward, use_reentrant=False)
            module.forward = inside


class NetworkWeights:
    """The network's own weights, or a part of them: what is trained, stored as a whole checkpoint.

    part: one of settings.PARTS; what does not belong to it is frozen.
    """

    file_name = "unianimate.safetensors"

    def __init__(self, unet: UNet, part: str = "all"):
        self.config = unet.config
        self._all = dict(unet.named_parameters())
        for name, parameter in self._all.items():
            parameter.requires_grad_(part == "all" or TEMPORAL in name)
        self.parameters = {name: parameter for name, parameter in self._all.items() if parameter.requires_grad}

    def stored(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The trained tensors by parameter name, and all others, by their published names."""
        return to_checkpoint({**self._all, **tensors}, self.config)

    def restored(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The trained ones by parameter name."""
        whole = to_modules(tensors, self.config)
        return {name: whole[name] for name in self.parameters}

    @property
    def metadata(self) -> dict[str, str]:
        return metadata_of(self.config)
