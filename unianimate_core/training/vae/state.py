"""The state of a training run in one file, written whole or not at all, so that a repeated command goes on from it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor
from torch.optim import Optimizer

from ...atomic import replacing
from ...checkpoint.files import read

SETTINGS = "settings"


def save_state(path: Path, tensors: Mapping[str, Tensor], settings: Any) -> None:
    """settings: a dataclass of plain values. Raises OSError in one sentence; the last good file then stays."""
    tensors = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    content = save(tensors, {SETTINGS: json.dumps(asdict(settings))})
    try:
        with replacing(path, len(content)) as part, part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno is None:
            raise  # it is a sentence already
        raise OSError(
            f"{path} of {len(content) / 1e6:.1f} MB could not be written ({error.strerror}): make room and run the "
            "same command again, which goes on from the last state that was written"
        ) from error


def load_state(path: Path, settings: Any) -> dict[str, Tensor] | None:
    """The tensors of the run, or None where there is none yet.

    Raises ValueError where the file is damaged, or the run had other settings, saying which.
    """
    if not path.exists():
        return None
    tensors, metadata = read(path)
    before, now = json.loads(metadata.get(SETTINGS, "{}")), json.loads(json.dumps(asdict(settings)))
    differing = [name for name in before.keys() | now.keys() if before.get(name) != now.get(name)]
    if differing:
        told = ", ".join(f"{name} {before.get(name)} (now {now.get(name)})" for name in sorted(differing))
        raise ValueError(f"{path} was begun with {told}: give the same settings, or another output")
    return tensors


def optimizer_tensors(prefix: str, optimizer: Optimizer) -> dict[str, Tensor]:
    """Everything the optimizer remembers, by parameter number and name."""
    return {
        f"{prefix}.{index}.{name}": value
        for index, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }


def restore_optimizer(prefix: str, optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of optimizer_tensors."""
    content = optimizer.state_dict()
    for key, value in tensors.items():
        if key.startswith(f"{prefix}."):
            _, index, name = key.split(".")
            content["state"].setdefault(int(index), {})[name] = value
    optimizer.load_state_dict(content)
