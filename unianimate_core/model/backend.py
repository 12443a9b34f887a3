"""How the network computes: layers, attention, precision, and how much working memory a product may take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..config import NORM_GROUPS

# CUDA kernels for attention put batch x heads in a grid dimension of 16 bits.
MAX_SEQUENCES = 65535

Attention = Callable[[Tensor, Tensor, Tensor, int], Tensor]


def scaled_dot_product_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """softmax(q k^T / sqrt(d)) v. q, k, v and the result: b n (heads d); k and v may have another n than q."""
    q, k, v = (rearrange(x, "b n (heads d) -> b heads n d", heads=heads) for x in (q, k, v))
    return rearrange(F.scaled_dot_product_attention(q, k, v), "b heads n d -> b n (heads d)")


def silu_(x: Tensor) -> Tensor:
    """SiLU in place of x, which is not needed any more; in training into new memory, where x is kept for its slope."""
    return F.silu(x, inplace=not torch.is_grad_enabled())


def first_image_layer(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """The first layer of an image encoder: convolution, SiLU, mean of each 2x2 places."""
    height, width = x.shape[2:]
    return F.adaptive_avg_pool2d(silu_(conv(x)), (height // 2, width // 2))


@dataclass
class Backend:
    """What every module is built with.

    operations: a namespace of layers (torch.nn, or a host's own that loads and casts weights as it likes), so no
    module may read a weight itself. attention: function (q, k, v, heads), all b n (heads d).
    frame_attention: the same for the short sequences over frames, where a host may want another kernel.
    dropout: share of values dropped in residual blocks while training.
    scan: the back end of selective_scan, for the temporal Mamba.
    split_bytes: wide intermediate results are made in pieces of at most about this size; None makes them whole.
    gradient_checkpointing: in training, stages store only their input and compute their activations twice.
    """

    operations: Any = nn
    attention: Attention = scaled_dot_product_attention
    frame_attention: Attention = scaled_dot_product_attention
    dtype: torch.dtype | None = None
    device: torch.device | str | None = None
    dropout: float = 0.0
    split_bytes: int | None = 128 * 2**20
    scan: str = "auto"
    gradient_checkpointing: bool = False

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

    def causal_conv(self, channels: int, taps: int) -> nn.Conv1d:
        """Of each channel alone, with zeros before the first frame. Its last taps - 1 results are to be cut off."""
        return self.operations.Conv1d(
            channels, channels, taps, padding=taps - 1, groups=channels, dtype=self.dtype, device=self.device
        )

    def full_precision(self, *shape: int) -> nn.Parameter:
        """A parameter that no layer holds and that stays in fp32, its values undefined."""
        return nn.Parameter(torch.empty(shape, dtype=torch.float32, device=self.device))

    @property
    def initializes(self) -> bool:
        """Whether layers are made with initial values. Those of a host are not: its files bring them."""
        return getattr(self.operations, "INITIALIZES", self.operations is nn)

    @property
    def first_pose_layer(self) -> Callable[[Tensor, nn.Conv2d], Tensor]:
        """The first layer of a pose encoder: (images n 3 H W, convolution) to n c H/2 W/2.

        operations may provide a faster one for drawn poses, which are mostly black.
        """
        return getattr(self.operations, "first_pose_layer", first_image_layer)

    def group_norm(self, channels: int, eps: float) -> nn.GroupNorm:
        return self.operations.GroupNorm(NORM_GROUPS, channels, eps=eps, dtype=self.dtype, device=self.device)

    def layer_norm(self, channels: int) -> nn.LayerNorm:
        return self.operations.LayerNorm(channels, eps=1e-5, dtype=self.dtype, device=self.device)

    def run_stage(self, stage: Callable[..., Tensor], *inputs: Any) -> Tensor:
        """stage(*inputs), see gradient_checkpointing."""
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(stage, *inputs, use_reentrant=False)  # pyright: ignore[reportReturnType]
        return stage(*inputs)

    @contextmanager
    def smaller_pieces(self, parts: int = 4) -> Iterator[None]:
        """While the block runs, pieces are this many times smaller: slower, for when memory has run out."""
        before = self.split_bytes
        self.split_bytes = (before or Backend.split_bytes or 0) // parts
        try:
            yield
        finally:
            self.split_bytes = before

    def in_pieces(
        self, function: Callable[[Tensor], Tensor], x: Tensor, bytes_per_row: int, *, dim: int = 0, most: int = 2**31
    ) -> Tensor:
        """function(x), made of pieces along dim where that would take more than split_bytes, or more than `most` rows.

        function: keeps the size of dim, and treats its rows independently; bytes_per_row: of its largest intermediate.
        """
        total = x.shape[dim]
        rows = most if self.split_bytes is None else min(most, self.split_bytes // bytes_per_row)
        rows = max(1, rows)
        if total <= rows:
            return function(x)
        first = function(x.narrow(dim, 0, rows))
        whole = first.new_empty([total if axis == dim else size for axis, size in enumerate(first.shape)])
        whole.narrow(dim, 0, rows).copy_(first)
        del first
        for start in range(rows, total, rows):
            count = min(rows, total - start)
            whole.narrow(dim, start, count).copy_(function(x.narrow(dim, start, count)))
        return whole
