"""The temporal module, with a Transformer or a Mamba inside."""

from __future__ import annotations

from einops import rearrange
from torch import Tensor, nn

from ..config import ModelConfig
from .backend import Backend
from .mamba import MambaBlock
from .transformer import TemporalBlock


class TemporalModule(nn.Module):
    """Models the reference frame and all frames of the clip at each place. Its normalization spans all frames.

    Source: UniAnimate, section 3.2, temporal modeling manners.
    """

    def __init__(self, channels: int, width: int, config: ModelConfig, backend: Backend):
        super().__init__()
        self.norm = backend.group_norm(channels, eps=1e-6)
        self.proj_in = backend.linear(channels, width)
        if config.mamba is None:
            self.block = TemporalBlock(width, width // config.head_dim, backend)
        else:
            self.block = MambaBlock(width, config.mamba, backend)
        self.proj_out = backend.linear(width, channels)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """x and result: (b f) c h w."""
        normed = self.norm(rearrange(x, "(b f) c h w -> b c f (h w)", f=frames))
        tokens = self.proj_in(rearrange(normed, "b c f n -> b f n c"))  # n places
        tokens = self.proj_out(self.block(tokens))
        return x + rearrange(tokens, "b f (h w) c -> (b f) c h w", h=x.shape[2])
