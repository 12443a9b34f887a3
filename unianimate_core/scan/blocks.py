"""Sequences walked together by the blocked scan, and the steps of their state."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

# Of the state of the sequences walked at once: on a CPU a share of its cache, on a GPU enough to keep it busy.
CPU_STATE_BYTES = 2 * 2**20
GPU_STATE_BYTES = 64 * 2**20
LOG2_E = math.log2(math.e)


class Block:
    """The inputs of some sequences, frames first, in the precision of the state."""

    def __init__(self, rows: slice, u: Tensor, delta: Tensor, B: Tensor, C: Tensor):
        self.rows = rows
        self.dtype = state_dtype(u)
        self.u, self.delta, self.B, self.C = (self.frames_first(x) for x in (u, delta, B, C))
        self.x = self.delta * self.u

    def frames_first(self, x: Tensor) -> Tensor:
        """x: n f ...; result: f m ..., contiguous."""
        return x[self.rows].transpose(0, 1).to(self.dtype).contiguous()

    def new_states(self, *count: int) -> Tensor:
        return self.u.new_empty(*count, self.u.shape[1], self.B.shape[2], self.u.shape[2])  # ... m s E

    def step(self, t: int, h: Tensor, decay: Tensor, rate: Tensor) -> None:
        """h, in place: from the frame before t to t. The factor it decayed by is left in decay."""
        torch.mul(self.delta[t, :, None], rate, out=decay).exp2_()
        h.mul_(decay).addcmul_(self.x[t, :, None], self.B[t, :, :, None])

    def read(self, t: int, h: Tensor, y: Tensor) -> None:
        """h C, into frame t of y (f m E)."""
        torch.bmm(self.C[t, :, None], h, out=y[t, :, None])


def rates(A: Tensor, D: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
    """A as s E for powers of 2, which are faster than those of e, and D, in the precision of the state.

    A stays finite, so that its product with a step that half precision rounds to 0 is 0.
    """
    dtype = state_dtype(u)
    return (A.to(dtype) * LOG2_E).clamp(min=torch.finfo(dtype).min).T.contiguous(), D.to(dtype)


def state_dtype(u: Tensor) -> torch.dtype:
    return torch.promote_types(u.dtype, torch.float32)


def time_order(frames: int, reverse: bool) -> Sequence[int]:
    return range(frames - 1, -1, -1) if reverse else range(frames)


def row_blocks(u: Tensor, A: Tensor) -> Iterator[slice]:
    """Sequences to walk at once."""
    allowed = CPU_STATE_BYTES if u.device.type == "cpu" else GPU_STATE_BYTES
    size = max(1, allowed // (A.numel() * state_dtype(u).itemsize))
    for start in range(0, len(u), size):
        yield slice(start, start + size)
