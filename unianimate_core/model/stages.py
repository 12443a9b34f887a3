"""The parts of the U-Net, in the order in which it calls them.

Features are (b f) c h w, with the reference as the first frame. time: b time_dim; context: b m context_dim.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..config import LATENT_CHANNELS, REFERENCE_FEATURES, ModelConfig
from .backend import Backend, silu_
from .residual import ResidualBlock, Upsample
from .temporal import TemporalModule
from .transformer import SpatialTransformer


@dataclass(frozen=True)
class Level:
    """One resolution of the U-Net. width: its channels; attends: whether its stages hold attention."""

    width: int
    attends: bool
    highest: bool
    lowest: bool


def levels_of(config: ModelConfig) -> list[Level]:
    """The levels from the highest resolution to the lowest."""
    last = len(config.widths) - 1
    pairs = zip(config.widths, config.attention_levels, strict=True)
    return [Level(width, attends, index == 0, index == last) for index, (width, attends) in enumerate(pairs)]


def skip_widths_of(config: ModelConfig) -> list[int]:
    """Channels of all skip features, in the order in which the encoder makes them."""
    widths = [config.dim]
    for level in levels_of(config):
        widths += [level.width] * (config.residual_blocks + (not level.lowest))
    return widths


class Stem(nn.Module):
    """The first convolution and its temporal module, whose inner width is config.stem_width."""

    def __init__(self, config: ModelConfig, backend: Backend):
        super().__init__()
        self.backend = backend
        self.conv = backend.conv(REFERENCE_FEATURES, config.dim)
        self.temporal = TemporalModule(config.dim, config.stem_width, config, backend)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        return self.backend.run_stage(self._forward, x, frames)

    def _forward(self, x: Tensor, frames: int) -> Tensor:
        return self.temporal(self.conv(x), frames)


class Stage(nn.Module):
    """A residual block, then a spatial transformer and a temporal module if the level has attention."""

    def __init__(self, channels_in: int, channels_out: int, attends: bool, config: ModelConfig, backend: Backend):
        super().__init__()
        self.backend = backend
        self.residual = ResidualBlock(channels_in, channels_out, config.time_dim, backend)
        self.spatial = self.temporal = None
        if attends:
            heads = channels_out // config.head_dim
            self.spatial = SpatialTransformer(channels_out, config.context_dim, heads, backend)
            self.temporal = TemporalModule(channels_out, channels_out, config, backend)

    def forward(self, x: Tensor, time: Tensor, context: Tensor, frames: int) -> Tensor:
        return self.backend.run_stage(self._forward, x, time, context, frames)

    def _forward(self, x: Tensor, time: Tensor, context: Tensor, frames: int) -> Tensor:
        x = self.residual(x, time, frames)
        if self.spatial is not None and self.temporal is not None:
            x = self.spatial(x, context)
            x = self.temporal(x, frames)
        return x


class DownLevel(nn.Module):
    """The encoder's stages at one resolution, then the step to half the size."""

    def __init__(self, channels_in: int, level: Level, config: ModelConfig, backend: Backend):
        super().__init__()
        widths = [channels_in] + [level.width] * config.residual_blocks
        self.stages = nn.ModuleList(Stage(a, b, level.attends, config, backend) for a, b in pairwise(widths))
        self.downsample = None if level.lowest else backend.conv(level.width, level.width, stride=2)

    def forward(self, x: Tensor, time: Tensor, context: Tensor, frames: int) -> tuple[Tensor, list[Tensor]]:
        """Returns the features for the next level, and the skip features for the decoder."""
        skips = []
        for stage in self.stages:
            x = stage(x, time, context, frames)
            skips.append(x)
        if self.downsample is not None:
            x = self.downsample(x)
            skips.append(x)
        return x, skips


def down_levels(config: ModelConfig, backend: Backend) -> nn.ModuleList:
    """The encoder's levels, from the highest resolution to the lowest."""
    levels = levels_of(config)
    widths_in = [config.dim, *(level.width for level in levels)]
    return nn.ModuleList(
        DownLevel(width, level, config, backend) for width, level in zip(widths_in, levels, strict=False)
    )


class Middle(nn.Module):
    """A stage with attention and one more residual block, at the lowest resolution."""

    def __init__(self, width: int, config: ModelConfig, backend: Backend):
        super().__init__()
        self.stage = Stage(width, width, True, config, backend)
        self.residual = ResidualBlock(width, width, config.time_dim, backend)

    def forward(self, x: Tensor, time: Tensor, context: Tensor, frames: int) -> Tensor:
        return self.residual(self.stage(x, time, context, frames), time, frames)


class UpLevel(nn.Module):
    """The decoder's stages at one resolution, then the step to twice the size.

    Each stage takes the running features and one skip feature, joined along the channels.
    skip_widths: channels of the skip features, in the order in which the stages take them.
    """

    def __init__(self, channels_in: int, skip_widths: list[int], level: Level, config: ModelConfig, backend: Backend):
        super().__init__()
        widths = [channels_in] + [level.width] * (len(skip_widths) - 1)
        self.stages = nn.ModuleList(
            Stage(running + skip, level.width, level.attends, config, backend)
            for running, skip in zip(widths, skip_widths, strict=True)
        )
        self.upsample = None if level.highest else Upsample(level.width, backend)

    def forward(self, x: Tensor, skips: list[Tensor], time: Tensor, context: Tensor, frames: int) -> Tensor:
        """Removes its skip features from the end of skips, which frees their memory."""
        for stage in self.stages:
            x = torch.cat([x, skips.pop()], dim=1)
            x = stage(x, time, context, frames)
        return x if self.upsample is None else self.upsample(x)


def up_levels(config: ModelConfig, backend: Backend) -> nn.ModuleList:
    """The decoder's levels, from the lowest resolution to the highest."""
    skip_widths = skip_widths_of(config)
    width = config.widths[-1]
    levels = nn.ModuleList()
    for level in reversed(levels_of(config)):
        taken = [skip_widths.pop() for _ in range(config.residual_blocks + 1)]
        levels.append(UpLevel(width, taken, level, config, backend))
        width = level.width
    return levels


class Head(nn.Module):
    """GroupNorm, SiLU and the last convolution, to latent channels."""

    def __init__(self, width: int, backend: Backend):
        super().__init__()
        self.norm = backend.group_norm(width, eps=1e-5)
        self.conv = backend.conv(width, LATENT_CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(silu_(self.norm(x)))
