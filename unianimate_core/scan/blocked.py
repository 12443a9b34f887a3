"""The scan as a loop over time in plain PyTorch, for any machine.

Some sequences at a time are walked with one state that stays in the processor's cache, laid out so that each step is a
few operations on contiguous memory: nothing of size n f E s is ever made. Forms that scan in parallel over time make it
log f times over, which costs a CPU more than it saves. Shapes: m sequences of a block, f frames, E channels, s states.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .blocked_backward import backward
from .blocks import Block, rates, row_blocks, time_order

__all__ = ["backward", "forward"]


def forward(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    z: Tensor | None,
    added: Tensor | None,
    reverse: bool,
) -> Tensor:
    result = torch.empty_like(u)
    rate, skip = rates(A, D, u)
    for rows in row_blocks(u, A):
        block = Block(rows, u, delta, B, C)
        h, decay = block.new_states().zero_(), block.new_states()
        y = torch.empty_like(block.u)
        for t in time_order(u.shape[1], reverse):
            block.step(t, h, decay, rate)
            block.read(t, h, y)
        y.addcmul_(block.u, skip)
        if added is not None:
            y += block.frames_first(added)
        if z is not None:
            y *= F.silu(block.frames_first(z))
        result[rows] = y.transpose(0, 1)
    return result
