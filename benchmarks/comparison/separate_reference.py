"""The ablation "without unified VDM" of table 4: a network of its own for the reference image, as in ControlNet.

The unified network takes the reference as one more frame of the clip. Here the clip goes alone through the network, and
a second encoder, with weights of its own, sees the reference alone; what it finds is added to the features that the
way up takes again. Its last layers begin at zero, so that training starts without it (Zhang et al. 2023, ControlNet).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from unianimate_core.checkpoint import CheckpointError, files
from unianimate_core.config import ModelConfig
from unianimate_core.model import UNet
from unianimate_core.model.backend import Backend
from unianimate_core.model.conditions import Conditions
from unianimate_core.model.sizes import check_clip
from unianimate_core.model.stages import Middle, Stem, down_levels, skip_widths_of
from unianimate_core.model.unet import drop_reference, frames_to_batch, prepend_reference
from unianimate_core.training.network.weights import loaded_unet, new_unet

METADATA_KEY = "separate_reference"


class ReferenceNetwork(nn.Module):
    """The way down and the middle of the network, for one frame, and a layer for each of its features."""

    def __init__(self, config: ModelConfig, backend: Backend):
        super().__init__()
        self.stem = Stem(config, backend)
        self.down = down_levels(config, backend)
        width = config.widths[-1]
        self.middle = Middle(width, config, backend)
        self.outs = nn.ModuleList(backend.conv(n, n, kernel=1, padding=0) for n in (*skip_widths_of(config), width))
        for out in self.outs:
            for parameter in out.parameters():
                nn.init.zeros_(parameter)

    def forward(self, reference: Tensor, time: Tensor, context: Tensor) -> list[Tensor]:
        """What is added to each skip feature, in the order of the way down, and the middle. reference: b 12 1 h w."""
        hidden = self.stem(frames_to_batch(reference), 1)
        features = [hidden]
        for level in self.down:
            hidden, skips = level(hidden, time, context, 1)
            features += skips
        features.append(self.middle(hidden, time, context, 1))
        return [out(feature) for out, feature in zip(self.outs, features, strict=True)]


class SeparateReferenceUNet(UNet):
    """Called, embedded and sampled as UNet is, and trained by the same loss."""

    def __init__(self, config: ModelConfig, **options: Any):
        super().__init__(config, **options)
        self.reference_network = ReferenceNetwork(config, self.conditions.pose.backend)

    def denoise(self, x: Tensor, t: Tensor, conditions: Conditions) -> Tensor:
        """v for the noisy latents x. x: b 4 f h w; t: b."""
        check_clip(self.config, x, conditions)
        batch, frames = len(x), x.shape[2]
        dtype = conditions.context.dtype
        t = t.expand(batch)
        time = self.embed_timestep(t, dtype)
        context = conditions.context.expand(batch, -1, -1)
        clip = drop_reference(prepend_reference(x.to(dtype), t, conditions))
        hidden, skips = self.encode(frames_to_batch(clip), time, context, frames)
        hidden = self.middle(hidden, time, context, frames)
        if conditions.reference is not None:
            reference = conditions.reference.expand(batch, -1, -1, -1, -1)
            added = [_on_each_frame(a, frames) for a in self.reference_network(reference, time, context)]
            skips = [skip + a for skip, a in zip(skips, added[:-1], strict=True)]
            hidden = hidden + added[-1]
        hidden = self.decode(hidden, skips, time, context, frames)
        return rearrange(self.head(hidden), "(b f) c h w -> b c f h w", f=frames).to(x.dtype)


def _on_each_frame(features: Tensor, frames: int) -> Tensor:
    return repeat(features, "b c h w -> (b f) c h w", f=frames)


def metadata_of_separate(config: ModelConfig) -> dict[str, str]:
    """What tells a file of such a network from others, and how to build it."""
    return {METADATA_KEY: json.dumps(asdict(config))}


def load_network(path: Path, device: torch.device | str = "cpu") -> UNet:
    """A network of any kind that is compared, in fp32 and with the layers of training, which are faster on a CPU.

    Raises CheckpointError as load_unet does.
    """
    tensors, metadata = files.read(path)
    made: dict[str, Any] = {"dropout": 0.0, "device": torch.device(device)}
    if METADATA_KEY not in metadata:
        return loaded_unet(path, **made).requires_grad_(False).eval()
    entries = json.loads(metadata[METADATA_KEY]).items()
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in entries}
    config = ModelConfig(**fields)
    unet = new_unet(config, seed=0, kind=SeparateReferenceUNet, **made)
    try:
        unet.load_state_dict(tensors)
    except RuntimeError as error:
        raise CheckpointError(f"{path.name} does not fit its own configuration: write it again") from error
    return unet.requires_grad_(False).eval()
