"""How the network computes: layers, attention, precision, and how much working memory a product may take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

Attention = Callable[[Tensor, Tensor, Tensor, int], Tensor]


def scaled_dot_product_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """softmax(q k^T / sqrt(d)) v. q, k, v and the result: b n (heads d); k and v may have another n than q."""
    q, k, v = (rearrange(x, "b n (heads d) -> b heads n d", heads=heads) for x in (q, k, v))
    return rearrange(F.scaled_dot_product_attention(q, k, v), "b heads n d -> b n (heads d)")


@dataclass(frozen=True)
class Backend:
    """What every module is built with.

    operations: a namespace of layers (torch.nn, or a host's own that loads and casts weights as it likes), so no
    module may read a weight itself. attention: function (q, k, v, heads), all b n (heads d).
    frame_attention: the same for the short sequences over frames, where a host may want another kernel.
    dropout: share of values dropped in residual blocks while training.
    split_bytes: wide intermediate results are made in pieces of at most about this size; None makes them whole.
    """

    operations: Any = nn
    attention: Attention = scaled_dot_product_attention
    frame_attention: Attention = scaled_dot_product_attention
    dtype: torch.dtype | None = None
    device: torch.device | str | None = None
    dropout: float = 0.0
    split_bytes: int | None = 256 * 2**20

    def linear(self, channels_in: int, channels_out: int, *, bias: bool = True) -> nn.Linear:
        return self.operations.Linear(channels_in, channels_out, bias=bias, dtype=self.dtype, device=self.device)

    def conv(
        self,
        channels_in: int,
        channels_out: int,
        kernel: int | tuple[int, int] = 3,
        *,
        stride: int = 1,
        padding: int | tuple[int, int] = 1,
    ) -> nn.Conv2d:
        return self.operations.Conv2d(
            channels_in, channels_out, kernel, stride=stride, padding=padding, dtype=self.dtype, device=self.device
        )

    def group_norm(self, channels: int, eps: float) -> nn.GroupNorm:
        return self.operations.GroupNorm(32, channels, eps=eps, dtype=self.dtype, device=self.device)

    def layer_norm(self, channels: int) -> nn.LayerNorm:
        return self.operations.LayerNorm(channels, eps=1e-5, dtype=self.dtype, device=self.device)

    def pieces(self, x: Tensor, bytes_per_row: int) -> tuple[Tensor, ...]:
        """x split along its first axis, so that a result of bytes_per_row for each row stays within split_bytes."""
        if self.split_bytes is None:
            return (x,)
        return x.split(max(1, self.split_bytes // bytes_per_row))
