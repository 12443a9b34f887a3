"""Residual blocks with their temporal convolutions, and changes of resolution."""

from __future__ import annotations

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from .backend import Backend, silu_


class ConvStage(nn.Module):
    """GroupNorm, SiLU, dropout, convolution."""

    def __init__(self, norm: nn.Module, conv: nn.Module, dropout: float = 0.0):
        super().__init__()
        self.norm = norm
        self.dropout = dropout
        self.conv = conv

    def forward(self, x: Tensor) -> Tensor:
        x = silu_(self.norm(x))
        return self.conv(F.dropout(x, self.dropout, self.training))


class TemporalConv(nn.Module):
    """Four convolutions over three neighboring frames each, plus the input. Zeros lie beyond the clip's ends.

    The clip is laid out as one image of f rows and h w columns. A (3, 1) convolution of that image is a (3, 1, 1)
    convolution of the clip, and its normalization spans all frames. In channels-last memory the layout is a view.
    """

    def __init__(self, channels: int, backend: Backend):
        super().__init__()
        self.stages = nn.ModuleList(
            ConvStage(
                backend.group_norm(channels, eps=1e-5),
                backend.conv(channels, channels, (3, 1), padding=(1, 0)),
                backend.dropout if stage else 0.0,
            )
            for stage in range(4)
        )

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """x and result: (b f) c h w."""
        clip = rearrange(x, "(b f) c h w -> b c f (h w)", f=frames)  # each place becomes a column of f rows
        for stage in self.stages:
            clip = stage(clip)
        return x + rearrange(clip, "b c f (h w) -> (b f) c h w", h=x.shape[2])


class ResidualBlock(nn.Module):
    """Two convolutions of each frame, with the timestep added between them, then the temporal convolutions."""

    def __init__(self, channels_in: int, channels_out: int, time_dim: int, backend: Backend):
        super().__init__()
        self.stage_in = ConvStage(backend.group_norm(channels_in, eps=1e-5), backend.conv(channels_in, channels_out))
        self.time = backend.linear(time_dim, channels_out)
        self.stage_out = ConvStage(
            backend.group_norm(channels_out, eps=1e-5), backend.conv(channels_out, channels_out), backend.dropout
        )
        self.skip = (
            nn.Identity() if channels_in == channels_out else backend.conv(channels_in, channels_out, 1, padding=0)
        )
        self.temporal_conv = TemporalConv(channels_out, backend)

    def forward(self, x: Tensor, time: Tensor, frames: int) -> Tensor:
        """x: (b f) c h w; time: b time_dim, SiLU applied. Every frame, the reference included, gets the same time."""
        shift = self.time(time).repeat_interleave(frames, dim=0)  # b c -> (b f) c
        hidden = self.stage_in(x)
        hidden += shift[:, :, None, None]
        x = self.skip(x) + self.stage_out(hidden)
        return self.temporal_conv(x, frames)


class Upsample(nn.Module):
    """Nearest-neighbor interpolation to twice the size, then a convolution."""

    def __init__(self, channels: int, backend: Backend):
        super().__init__()
        self.conv = backend.conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
