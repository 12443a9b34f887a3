"""How the network computes: its layers, attention, precision and bound on working memory."""

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

# CUDA's attention kernels put batch x heads in a grid dimension of 16 bits.
MAX_SEQUENCES = 65535

Attention = Callable[[Tensor, Tensor, Tensor, int], Tensor]


def scaled_dot_product_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """softmax(q k^T / sqrt(d)) v. q, k, v and result: b n (heads d); n of k and v may differ from that of q."""
    q, k, v = (rearrange(x, "b n (heads d) -> b heads n d", heads=heads) for x in (q, k, v))
    return rearrange(F.scaled_dot_product_attention(q, k, v), "b heads n d -> b n (heads d)")


def silu_(x: Tensor) -> Tensor:
    """SiLU. Overwrites x, unless gradients are enabled: the backward pass needs x."""
    return F.silu(x, inplace=not torch.is_grad_enabled())


def first_image_layer(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """The first layer of an image encoder: convolution, SiLU, mean of each 2x2 places."""
    height, width = x.shape[2:]
    return F.adaptive_avg_pool2d(silu_(conv(x)), (height // 2, width // 2))


@dataclass
class Backend:
    """What every module is built with.

    operations: a namespace of layers: torch.nn, or a host's own. A host's layers may load and cast their weights on
    demand, so no module reads a weight itself.
    attention: function (q, k, v, heads); q, k, v and result are b n (heads d).
    frame_attention: the same for the short sequences over frames, for which a host may prefer another kernel.
    dropout: share of values dropped in residual blocks in training.
    split_bytes: the largest size of a wide intermediate result, approximately. Larger ones are computed in pieces.
    None computes them whole.
    scan: the back end of selective_scan, for the temporal Mamba.
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
        """A depthwise convolution with zeros before the first frame. The caller drops its last taps - 1 results."""
        return self.operations.Conv1d(
            channels, channels, taps, padding=taps - 1, groups=channels, dtype=self.dtype, device=self.device
        )

    def full_precision(self, *shape: int) -> nn.Parameter:
        """A parameter outside any layer. It stays in fp32, and its values are not initialized."""
        return nn.Parameter(torch.empty(shape, dtype=torch.float32, device=self.device))

    @property
    def initializes(self) -> bool:
        """Whether layers get initial values. A host's layers do not: their values come from its files."""
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
        """Divides split_bytes by parts within the block. Slower: use it after memory has run out."""
        before = self.split_bytes
        self.split_bytes = (before or Backend.split_bytes or 0) // parts
        try:
            yield
        finally:
            self.split_bytes = before

    def in_pieces(
        self, function: Callable[[Tensor], Tensor], x: Tensor, bytes_per_row: int, *, dim: int = 0, most: int = 2**31
    ) -> Tensor:
        """function(x), computed in pieces along dim if x has more than `most` rows or needs more than split_bytes.

        function: keeps the size of dim and treats its rows independently.
        bytes_per_row: size of one row of its largest intermediate result.
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
