"""The network in training: made or loaded, and stored by its published names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..checkpoint import read_checkpoint, to_checkpoint, to_modules
from ..checkpoint.loading import metadata_of
from ..config import ModelConfig
from ..model import UNet
from ..model.residual import ResidualBlock
from ..model.transformer import SpatialTransformer, TemporalTransformer
from ..model.unet import Stage, Stem
from . import cpu_layers
from .clips import Clips
from .conditions import as_network_sees, embed_kept
from .drawn_poses import convolve_only_drawn


def new_unet(config: ModelConfig, *, seed: int, dropout: float, device: torch.device) -> UNet:
    """A network to be trained from the beginning: each residual branch and the head start with zeros, as the authors'."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        unet = UNet(config, dropout=dropout, split_bytes=None, **_layers(device))
    for module in unet.modules():
        if isinstance(module, ResidualBlock):
            _to_zero(module.stage_out.conv)
            _to_zero(module.temporal_conv.stages[-1].conv)  # pyright: ignore[reportArgumentType]
        elif isinstance(module, (SpatialTransformer, TemporalTransformer)):
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
    return unet.requires_grad_(True).train().to(device, memory_format=torch.channels_last)


def _to_zero(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def keep_only_borders(unet: UNet) -> None:
    """Gradient checkpointing: of each stage only the input is kept, and its inside computed again going backwards."""
    for module in unet.modules():
        if isinstance(module, (Stage, Stem)):
            module.forward = partial(checkpoint, module.forward, use_reentrant=False)


class ClipPredictor(nn.Module):
    """v of noisy clips by the network, as one module, so that what wraps it sees every use of a weight.

    text: 1 n C, the states of the empty prompt.
    """

    def __init__(self, unet: UNet, text: Tensor):
        super().__init__()
        self.unet = unet
        self.register_buffer("text", text, persistent=False)

    def forward(self, clips: Clips, x_t: Tensor) -> Tensor:
        """x_t: b 4 f h w, the clips noised; result the same shape."""
        given = {
            "pose": as_network_sees(clips.pose),
            "reference_pose": as_network_sees(clips.reference_pose),
            "first_frame": as_network_sees(clips.first_frame),
            "reference_latent": clips.reference_latent,
            "image": clips.image,
        }
        conditions = embed_kept(self.unet, self.text, given, clips.kept)
        return self.unet.denoise(x_t, clips.t, conditions)


class WholeNetwork:
    """All weights of a network: what is trained, and how it is stored in a checkpoint."""

    file_name = "unianimate.safetensors"

    def __init__(self, unet: UNet):
        self.config = unet.config
        self.parameters: dict[str, nn.Parameter] = dict(unet.named_parameters())

    def stored(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors by parameter name, by their published names."""
        return to_checkpoint(tensors, self.config)

    def restored(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return to_modules(tensors, self.config)

    @property
    def metadata(self) -> dict[str, str]:
        return metadata_of(self.config)


def empty_text(config: ModelConfig) -> Tensor:
    """Zeros in place of the empty prompt's states: one token, since any number of them attends to the same nothing."""
    return torch.zeros(1, 1, config.context_dim)


