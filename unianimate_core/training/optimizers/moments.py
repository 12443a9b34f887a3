"""What optimizers remember of their weights, by the weights' names, so that it can be stored and put back."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def moments(parameters: Mapping[str, nn.Parameter], optimizers: Collection[Optimizer]) -> dict[str, Tensor]:
    """By name of the parameter and kind; none before the first step."""
    return {
        f"{name}/{kind}": tensor
        for name, parameter in parameters.items()
        for optimizer in optimizers
        for kind, tensor in optimizer.state.get(parameter, {}).items()
    }


def restore_moments(
    parameters: Mapping[str, nn.Parameter], optimizers: Collection[Optimizer], stored: Mapping[str, Tensor]
) -> None:
    """The inverse, on each parameter's device."""
    owners = {
        parameter: optimizer
        for optimizer in optimizers
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    for key, tensor in stored.items():
        name, kind = key.rsplit("/", 1)
        parameter = parameters[name]
        # Copies in any case: what is read stays mapped to its file, all of which it would keep.
        own = torch.empty_like(tensor, device=parameter.device) if kind == "step" else torch.empty_like(parameter)
        owners[parameter].state[parameter][kind] = own.copy_(tensor)
