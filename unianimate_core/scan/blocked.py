"""The scan as a loop over time in plain PyTorch, for any machine.

It walks a block of sequences at a time, whose state fits the processor's cache. The layout makes each step a few
operations on contiguous memory, and no tensor has size n f E s. A scan in parallel over time computes everything log f
times, which costs a CPU more than it saves. Shapes: m sequences of a block, f frames, E channels, s states.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .blocked_backward import backward
from .blocks import Block, rates, row_blocks, time_order
from .inputs import ScanInputs

__all__ = ["backward", "forward"]


def forward(inputs: ScanInputs) -> Tensor:
    result = torch.empty_like(inputs.u)
    rate, skip = rates(inputs)
    for rows in row_blocks(inputs):
        block = Block(inputs, rows)
        h, decay = block.new_states().zero_(), block.new_states()
        y = torch.empty_like(block.u)
        for t in time_order(inputs):
            block.step(t, h, decay, rate)
            block.read(t, h, y)
        y.addcmul_(block.u, skip)
        if inputs.added is not None:
            y += block.frames_first(inputs.added)
        if inputs.z is not None:
            y *= F.silu(block.frames_first(inputs.z))
        result[rows] = y.transpose(0, 1)
    return result
