"""The state of optimizers as tensors by parameter name, so that it can be stored and restored."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def optimizer_state(parameters: Mapping[str, nn.Parameter], optimizers: Collection[Optimizer]) -> dict[str, Tensor]:
    """Tensors by parameter name and kind ("head.conv.weight/exp_avg"); none before the first step."""
    return {
        f"{name}/{kind}": tensor
        for name, parameter in parameters.items()
        for optimizer in optimizers
        for kind, tensor in optimizer.state.get(parameter, {}).items()
    }


def restore_optimizer_state(
    parameters: Mapping[str, nn.Parameter], optimizers: Collection[Optimizer], stored: Mapping[str, Tensor]
) -> None:
    """Put tensors from optimizer_state back, on each parameter's device."""
    owners = {
        parameter: optimizer
        for optimizer in optimizers
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    for key, tensor in stored.items():
        name, kind = key.rsplit("/", 1)
        parameter = parameters[name]
        # Always a copy: a tensor that was read from a file keeps the whole file mapped.
        own = torch.empty_like(tensor, device=parameter.device) if kind == "step" else torch.empty_like(parameter)
        owners[parameter].state[parameter][kind] = own.copy_(tensor)
