"""The exponential mean of the weights over the steps, from which validation and the result are made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor


class WeightMean:
    """fp32 means of parameters, by name. decay: 0 keeps none, and the mean is the weights themselves."""

    def __init__(self, parameters: Mapping[str, Tensor], decay: float):
        self.decay = decay
        self.parameters = parameters
        self.means = {name: parameter.detach().float().clone() for name, parameter in parameters.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """After a step, counted from 0. The first steps count for more, or the start would last for long."""
        decay = min(self.decay, (1 + step) / (10 + step)) if self.decay else 0.0
        current = [parameter.detach().float() for parameter in self.parameters.values()]
        torch._foreach_lerp_(list(self.means.values()), current, 1 - decay)

    @torch.no_grad()
    def load(self, means: Mapping[str, Tensor]) -> None:
        for name, mean in self.means.items():
            mean.copy_(means[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The means in place of the weights for a while."""
        current = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
        _copy(self.means, self.parameters)
        try:
            yield
        finally:
            _copy(current, self.parameters)


@torch.no_grad()
def _copy(source: Mapping[str, Tensor], destination: Mapping[str, Tensor]) -> None:
    for name, tensor in destination.items():
        tensor.copy_(source[name])
