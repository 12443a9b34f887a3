"""The exponential moving average (EMA) of the weights over the steps. Validation and the result use it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


class EMA:
    """The EMA of parameters, by name, in fp32. decay: in [0, 1); with 0 the EMA is the weights themselves."""

    def __init__(self, parameters: Mapping[str, Tensor], decay: float):
        self.decay = decay
        self.parameters = parameters
        self.weights = {name: parameter.detach().float().clone() for name, parameter in parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step, counted from 0.

        The decay grows over the first steps. At its full value, the random weights of the start would fade slowly.
        """
        decay = min(self.decay, (1 + step) / (10 + step)) if self.decay else 0.0
        current = [parameter.detach().float() for parameter in self.parameters.values()]
        torch._foreach_lerp_(list(self.weights.values()), current, 1 - decay)

    @torch.no_grad()
    def load(self, weights: Mapping[str, Tensor]) -> None:
        for name, tensor in self.weights.items():
            tensor.copy_(weights[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block, the parameters hold the EMA."""
        current = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        _copy(self.weights, self.parameters)
        try:
            yield
        finally:
            _copy(current, self.parameters)


@torch.no_grad()
def _copy(source: Mapping[str, Tensor], destination: Mapping[str, Tensor]) -> None:
    for name, tensor in destination.items():
        tensor.copy_(source[name])
