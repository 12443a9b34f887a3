"""The temporal Mamba: a bidirectional selective state space model over the frames at one place.

n sequences, f frames. Letters as in the Mamba papers: D model width, E = expand D inner width, s states of a channel,
k taps of the convolution, R = ceil(D / 16) rank of the step size delta. The parameter D is the skip of the recurrence.
Source: UniAnimate, section 3.2, temporal modeling manners, eq. 4.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ..config import MambaConfig
from ..scan import selective_scan
from .backend import Backend
from .transformer import FeedForward

__all__ = ["BidirectionalMamba", "MambaBlock", "selective_scan"]

# These stay in fp32 in a network of any precision, and get no weight decay.
FULL_PRECISION = ("A_log", "A_b_log", "D", "D_b", "alpha")
DELTA_RANGE = (1e-3, 0.1)  # step sizes at the start of training
LARGEST_A_LOG = 80.0  # above it exp overflows in fp32, and gradients become nan
INITIAL_ALPHA = 1.0  # a new mixer's outputs are small, so its gate may start open


class Direction(NamedTuple):
    """The layers and parameters of the scan in one direction of time."""

    conv: nn.Conv1d
    x_proj: nn.Linear
    dt_proj: nn.Linear
    A_log: Tensor
    D: Tensor


class BidirectionalMamba(nn.Module):
    """The mixer of Vision Mamba, version 2: one scan in each direction of time, with a common gate.

    Its parameters have the names and shapes of Vision Mamba. Names with _b belong to the backward scan.
    Source: Zhu et al. 2024, algorithm 1. Initial values: Gu and Dao 2023, section 3.6.
    """

    def __init__(
        self, d_model: int, d_state: int = 16, d_conv: int = 4, expand: int = 2, *, backend: Backend | None = None
    ):
        super().__init__()
        backend = backend or Backend()
        inner, rank = expand * d_model, -(-d_model // 16)
        self.scan_backend = backend.scan
        self.in_proj = backend.linear(d_model, 2 * inner, bias=False)
        self.conv1d = backend.causal_conv(inner, d_conv)
        self.x_proj = backend.linear(inner, rank + 2 * d_state, bias=False)
        self.dt_proj = backend.linear(rank, inner)
        self.A_log = backend.full_precision(inner, d_state)
        self.D = backend.full_precision(inner)
        self.conv1d_b = backend.causal_conv(inner, d_conv)
        self.x_proj_b = backend.linear(inner, rank + 2 * d_state, bias=False)
        self.dt_proj_b = backend.linear(rank, inner)
        self.A_b_log = backend.full_precision(inner, d_state)
        self.D_b = backend.full_precision(inner)
        self.out_proj = backend.linear(inner, d_model, bias=False)
        if backend.initializes:
            self.reset_parameters()

    def directions(self) -> tuple[Direction, Direction]:
        """Forward, then backward."""
        return (
            Direction(self.conv1d, self.x_proj, self.dt_proj, self.A_log, self.D),
            Direction(self.conv1d_b, self.x_proj_b, self.dt_proj_b, self.A_b_log, self.D_b),
        )

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """A = -1, -2, ... -s, D = 1, steps log-uniform in DELTA_RANGE. The other layers initialize themselves."""
        for _, _, dt_proj, A_log, D in self.directions():
            A_log.copy_(torch.arange(1, A_log.shape[1] + 1, device=A_log.device).log().expand_as(A_log))
            D.fill_(1)
            bound = dt_proj.in_features**-0.5
            dt_proj.weight.uniform_(-bound, bound)
            low, high = (math.log(delta) for delta in DELTA_RANGE)
            delta = torch.empty_like(dt_proj.bias).uniform_(low, high).exp()
            dt_proj.bias.copy_(delta + torch.log(-torch.expm1(-delta)))  # the inverse of softplus

    def forward(self, x: Tensor) -> Tensor:
        """x and result: n f D. n may be 0."""
        x, z = self.in_proj(x).chunk(2, dim=-1)
        forward, backward = self.directions()
        y = self._scan(x, forward)
        y = self._scan(x, backward, reverse=True, added=y, z=z)  # (y + the backward scan) SiLU(z)
        return self.out_proj(y)

    def _scan(
        self,
        x: Tensor,
        direction: Direction,
        *,
        reverse: bool = False,
        added: Tensor | None = None,
        z: Tensor | None = None,
    ) -> Tensor:
        """x, added, z and result: n f E. Source: eq. 4 of UniAnimate, discretized with steps delta."""
        conv, x_proj, dt_proj, A_log, D = direction
        u = F.silu(_convolve(x, conv, reverse))
        states = A_log.shape[1]
        rank_delta, B, C = x_proj(u).split([dt_proj.in_features, states, states], dim=-1)
        delta = F.softplus(dt_proj(rank_delta))
        precision = torch.promote_types(u.dtype, torch.float32)
        # A host moves its layers to the device, but not parameters outside layers.
        A = -A_log.to(u.device, precision).clamp(max=LARGEST_A_LOG).exp()
        D = D.to(u.device, precision)
        return selective_scan(u, delta, A, B, C, D, z, added=added, reverse=reverse, backend=self.scan_backend)


def _convolve(x: Tensor, conv: nn.Conv1d, reverse: bool) -> Tensor:
    """Convolves each channel over a frame and the taps - 1 before it (after it, in reverse). x and result: n f E."""
    frames = x.shape[1]
    x = x.flip(1) if reverse else x
    x = conv(rearrange(x, "n f e -> n e f"))[..., :frames]
    x = rearrange(x, "n e f -> n f e").contiguous()  # channels last, for products and scans
    return x.flip(1) if reverse else x


class MambaBlock(nn.Module):
    """Replaces the block of a temporal Transformer: a gated mixer, and optionally a feed-forward.

    x + tanh(alpha) mixer(LayerNorm(x)), then x + feed_forward(LayerNorm(x)) if config.keep_ff.
    """

    def __init__(self, width: int, config: MambaConfig, backend: Backend):
        super().__init__()
        self.backend = backend
        self.norm1 = backend.layer_norm(width)
        self.mixer = BidirectionalMamba(width, config.d_state, config.d_conv, config.expand, backend=backend)
        self.alpha = backend.full_precision(1)
        if backend.initializes:
            nn.init.constant_(self.alpha, INITIAL_ALPHA)
        self.norm2 = self.feed_forward = None
        if config.keep_ff:
            self.norm2 = backend.layer_norm(width)
            self.feed_forward = FeedForward(width, backend)
        self.inner = config.expand * width

    def forward(self, x: Tensor) -> Tensor:
        """x and result: b f n c, n places. Places are processed in pieces, each a batch of short sequences."""
        batch, frames = x.shape[:2]
        x_z_and_scan = 6 * batch * frames * self.inner * x.element_size()
        x = self.backend.in_pieces(self._mix, x, x_z_and_scan, dim=2)
        if self.norm2 is not None and self.feed_forward is not None:
            x = x + self.feed_forward(self.norm2(x))
        return x

    def _mix(self, x: Tensor) -> Tensor:
        sequences = rearrange(self.norm1(x), "b f n c -> (b n) f c")
        mixed = rearrange(self.mixer(sequences), "(b n) f c -> b f n c", b=len(x))
        return x + self.alpha.tanh().to(x.device, x.dtype) * mixed
