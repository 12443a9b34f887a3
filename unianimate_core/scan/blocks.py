"""The sequences that the blocked scan walks together, and the steps of their state."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from .inputs import ScanInputs

# Size of one block's state. It fits the cache of a CPU, and keeps a GPU busy.
CPU_STATE_BYTES = 2 * 2**20
GPU_STATE_BYTES = 64 * 2**20
LOG2_E = math.log2(math.e)


class Block:
    """The inputs of some sequences, frames first, in the dtype of the state. u, delta, x: f m E; B, C: f m s."""

    def __init__(self, inputs: ScanInputs, rows: slice):
        self.rows = rows
        self.dtype = state_dtype(inputs.u)
        self.u, self.delta = self.frames_first(inputs.u), self.frames_first(inputs.delta)
        self.B, self.C = self.frames_first(inputs.B), self.frames_first(inputs.C)
        self.x = self.delta * self.u

    def frames_first(self, x: Tensor) -> Tensor:
        """x: n f ...; result: f m ..., contiguous."""
        return x[self.rows].transpose(0, 1).to(self.dtype).contiguous()

    def new_states(self, *count: int) -> Tensor:
        return self.u.new_empty(*count, self.u.shape[1], self.B.shape[2], self.u.shape[2])  # ... m s E

    def step(self, t: int, h: Tensor, decay: Tensor, rate: Tensor) -> None:
        """Advances h in place to frame t. Writes the factor of its decay to decay."""
        torch.mul(self.delta[t, :, None], rate, out=decay).exp2_()
        h.mul_(decay).addcmul_(self.x[t, :, None], self.B[t, :, :, None])

    def read(self, t: int, h: Tensor, y: Tensor) -> None:
        """Writes h C to frame t of y (f m E)."""
        torch.bmm(self.C[t, :, None], h, out=y[t, :, None])


def rates(inputs: ScanInputs) -> tuple[Tensor, Tensor]:
    """A times log2(e) as s E, and D, in the dtype of the state. Powers of 2 are faster than powers of e.

    The rate stays finite: half precision may round delta to 0, and their product must then be 0.
    """
    dtype = state_dtype(inputs.u)
    rate = (inputs.A.to(dtype) * LOG2_E).clamp(min=torch.finfo(dtype).min).T.contiguous()
    return rate, inputs.D.to(dtype)


def state_dtype(u: Tensor) -> torch.dtype:
    return torch.promote_types(u.dtype, torch.float32)


def time_order(inputs: ScanInputs) -> Sequence[int]:
    """The frames in the order in which the recurrence visits them."""
    frames = range(inputs.u.shape[1])
    return frames[::-1] if inputs.reverse else frames


def row_blocks(inputs: ScanInputs) -> Iterator[slice]:
    """The sequences of each block."""
    u, A = inputs.u, inputs.A
    allowed = CPU_STATE_BYTES if u.device.type == "cpu" else GPU_STATE_BYTES
    size = max(1, allowed // (A.numel() * state_dtype(u).itemsize))
    for start in range(0, len(u), size):
        yield slice(start, start + size)
