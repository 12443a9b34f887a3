"""Which optimizer moves which weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ...model.mamba import FULL_PRECISION
from ..settings import TrainingSettings
from .muon import Muon

ADAMW_SHARE = 0.1
"""Beside Muon, AdamW's learning rate is this share of Muon's: orthogonal steps have size 1 and need larger rates."""

_STACKED = {"qkv.weight": 3, "kv.weight": 2}
_NOT_MUON = ("conditions.", "time1.", "stem.conv.", "head.", ".dt_proj", ".conv1d", ".lora_")


def make_optimizers(parameters: Mapping[str, nn.Parameter], settings: TrainingSettings) -> list[torch.optim.Optimizer]:
    """AdamW for all weights, or Muon for the inner layers and AdamW for the others.

    Each group has a `share` of the learning rate. Biases, norms and the fp32 parameters of a Mamba never decay.
    settings: with a precision other than "auto".
    """
    assert settings.precision != "auto"
    muon = [name for name in parameters if settings.optimizer == "muon" and _for_muon(name, parameters[name])]
    rest = {name: parameter for name, parameter in parameters.items() if name not in muon}
    share = ADAMW_SHARE if settings.optimizer == "muon" else 1.0
    optimizers: list[torch.optim.Optimizer] = []
    if rest:
        groups = [group | {"share": share} for group in _by_decay(rest, settings.weight_decay)]
        optimizers.append(torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True))
    if muon:
        groups = _by_pieces({name: parameters[name] for name in muon})
        dtype = torch.float32 if settings.precision == "fp32" else torch.bfloat16
        optimizers.append(Muon(groups, settings.learning_rate, dtype))
    return optimizers


def _for_muon(name: str, parameter: nn.Parameter) -> bool:
    return _is_matrix(name, parameter) and not any(part in f".{name}" for part in _NOT_MUON)


def _is_matrix(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim > 1 and name.rsplit(".", 1)[-1] not in FULL_PRECISION


def _by_decay(parameters: Mapping[str, nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        groups.setdefault(weight_decay if _is_matrix(name, parameter) else 0.0, []).append(parameter)
    return [{"params": group, "weight_decay": decay} for decay, group in groups.items()]


def _by_pieces(parameters: Mapping[str, nn.Parameter]) -> list[dict[str, Any]]:
    """Groups by the number of layers stacked in a weight: queries, keys and values share one."""
    groups: dict[int, list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        pieces = next((count for ending, count in _STACKED.items() if name.endswith(f".{ending}")), 1)
        groups.setdefault(pieces, []).append(parameter)
    return [{"params": group, "pieces": pieces, "share": 1.0} for pieces, group in groups.items()]
