"""The gradients of the blocked scan.

A first pass computes the states again and keeps the one before each chunk of time. The way back recomputes the states
of one chunk after the other from there. So a block of sequences holds about 3 sqrt(f) states, not f.

With g_t the gradient of h_t: g_t = exp(delta_(t+1) A) g_(t+1) + C_t dy_t. All other gradients follow from g_t.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from .blocks import LOG2_E, Block, rates, row_blocks, time_order
from .inputs import ScanInputs


def backward(grad: Tensor, inputs: ScanInputs) -> tuple[Tensor, ...]:
    """Gradients of u, delta, A, B, C, D and z. Without z, the last is empty."""
    z, added = inputs.z, inputs.added
    rate, skip = rates(inputs)
    order = time_order(inputs)
    size = max(1, math.isqrt(len(order) // 2))
    chunks = [order[start : start + size] for start in range(0, len(order), size)]
    du, ddelta, dB, dC = (
        torch.empty(x.shape, dtype=skip.dtype, device=x.device) for x in (inputs.u, inputs.delta, inputs.B, inputs.C)
    )
    dz = torch.empty_like(du) if z is not None else du.new_empty(0)
    dA, dD = torch.zeros_like(rate), torch.zeros_like(skip)
    for rows in row_blocks(inputs):
        block = Block(inputs, rows)
        dy = block.frames_first(grad)
        gate = None if z is None else block.frames_first(z)
        walk = WayBack(block, rate, dy if gate is None else dy * F.silu(gate))
        walk.through(chunks)
        if gate is not None:
            y = walk.y.addcmul_(block.u, skip)
            if added is not None:
                y += block.frames_first(added)
            dz[rows] = (dy * y * silu_slope(gate)).transpose(0, 1)
        du[rows] = (walk.dx * block.delta).addcmul_(walk.dy, skip).transpose(0, 1)
        ddelta[rows] = walk.ddelta.div_(LOG2_E).addcmul_(walk.dx, block.u).transpose(0, 1)
        dB[rows], dC[rows] = walk.dB.transpose(0, 1), walk.dC.transpose(0, 1)
        dA += walk.dA.sum(0)
        dD += (walk.dy * block.u).sum((0, 1))
    return du, ddelta, dA.T, dB, dC, dD, dz


def silu_slope(z: Tensor) -> Tensor:
    """The derivative of silu at z."""
    sigmoid = z.sigmoid()
    return sigmoid * (1 + z * (1 - sigmoid))


class WayBack:
    """Gradients of one block, computed from its last step to its first.

    dx: gradient of delta u, f m E; ddelta: gradient of delta through the decay only, times log2(e), f m E; dA: m s E.
    y: h C without D u, f m E.
    """

    def __init__(self, block: Block, rate: Tensor, dy: Tensor):
        self.block, self.rate, self.dy = block, rate, dy
        self.dx, self.ddelta, self.y = (torch.empty_like(block.u) for _ in range(3))
        self.dB, self.dC = torch.empty_like(block.B), torch.empty_like(block.C)
        self.dA = block.new_states().zero_()
        self.g = block.new_states().zero_()
        self.product = block.new_states()

    def through(self, chunks: Sequence[Sequence[int]]) -> None:
        starts = self._starts(chunks)
        size = max((len(steps) for steps in chunks), default=0)
        states, decays = self.block.new_states(size + 1), self.block.new_states(size)
        for index, steps in reversed(list(enumerate(chunks))):
            states[0] = starts[index]
            for k, t in enumerate(steps):
                states[k + 1] = states[k]
                self.block.step(t, states[k + 1], decays[k], self.rate)
            for k, t in reversed(list(enumerate(steps))):
                self._step_back(t, states[k], states[k + 1], decays[k])

    def _starts(self, chunks: Sequence[Sequence[int]]) -> Tensor:
        """The state before each chunk."""
        starts = self.block.new_states(len(chunks))
        h, decay = self.block.new_states().zero_(), self.block.new_states()
        for start, steps in zip(starts, chunks, strict=True):
            start.copy_(h)
            for t in steps:
                self.block.step(t, h, decay, self.rate)
        return starts

    def _step_back(self, t: int, before: Tensor, h: Tensor, decay: Tensor) -> None:
        """before, h: the states before and after the step of frame t. Overwrites decay."""
        block, g = self.block, self.g
        block.read(t, h, self.y)
        torch.bmm(self.dy[t, :, None], h.transpose(1, 2), out=self.dC[t, :, None])
        g.addcmul_(block.C[t, :, :, None], self.dy[t, :, None])
        torch.bmm(block.x[t, :, None], g.transpose(1, 2), out=self.dB[t, :, None])
        torch.bmm(block.B[t, :, None], g, out=self.dx[t, :, None])
        g.mul_(decay)
        of_exponent = torch.mul(g, before, out=decay)
        self.dA.addcmul_(of_exponent, block.delta[t, :, None])
        torch.sum(torch.mul(of_exponent, self.rate, out=self.product), dim=1, out=self.ddelta[t])
