"""A hash of what something holds, the same in another process: of numbers, tensors, weights and what patches them."""

from __future__ import annotations

import enum
import functools
import hashlib
import os
import types
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

WEIGHT_SAMPLES = 64


def content_hash(*values: Any) -> str:
    """SHA-256 of the values, in hex. Every element of a tensor counts."""
    return _hashed(values, samples=None)


def weights_hash(*values: Any, known: nn.Module | None = None) -> str:
    """As content_hash, but of each tensor only its shape, type and WEIGHT_SAMPLES elements, evenly spaced.

    Gigabytes of weights are told apart in a moment: training changes nearly every element. known: a network whose
    weights do not count, wherever it or a wrapper of it is met: a host may be changing them at the moment.
    """
    return _hashed(values, samples=WEIGHT_SAMPLES, known=known)


def _hashed(values: tuple, samples: int | None, known: nn.Module | None = None) -> str:
    hasher = _Hasher(samples, known)
    hasher.add(values)
    return hasher.sha.hexdigest()


class _Hasher:
    """Walks through values. Each begins with its kind, and containers with their length, so that none runs into the
    next.
    """

    def __init__(self, samples: int | None, known: nn.Module | None):
        self.sha = hashlib.sha256()
        self.samples = samples
        self.known = set() if known is None else set(known.modules())
        self.seen: dict[int, int] = {}
        self.alive: list[Any] = []  # an id means something only while its object lives

    def add(self, value: Any) -> None:
        if value is None or isinstance(value, (bool, int, float, str, bytes, torch.dtype, torch.device)):
            self._mark(f"{type(value).__name__} {value!r}")
            return
        if id(value) in self.seen:  # shared, or within itself
            self._mark(f"again {self.seen[id(value)]}")
            return
        self.seen[id(value)] = len(self.seen)
        self.alive.append(value)
        if isinstance(value, Tensor):
            self._tensor(value)
        elif isinstance(value, (np.ndarray, np.generic)):
            self._tensor(torch.as_tensor(value))
        elif isinstance(value, Mapping):
            self._mark(f"mapping {len(value)}")
            for key in sorted(value, key=str):
                self.add(key)
                self.add(value[key])
        elif isinstance(value, (list, tuple, range)):
            self._mark(f"sequence {len(value)}")
            for item in value:
                self.add(item)
        elif isinstance(value, (set, frozenset)):
            self.add(sorted(value, key=str))
        else:
            self._object(value)

    def _object(self, value: Any) -> None:
        """Its kind and its public attributes; underscored ones are what changes while it is used."""
        if isinstance(value, functools.partial):
            self.add(("partial", value.func, value.args, value.keywords))
        elif isinstance(value, types.MethodType):
            self.add(("method", value.__func__, value.__self__))
        elif isinstance(value, types.FunctionType):
            closure = [cell.cell_contents for cell in value.__closure__ or ()]
            self.add(("function", value.__module__, value.__qualname__, value.__defaults__, closure))
        elif isinstance(value, (type, types.BuiltinFunctionType)):
            self._mark(f"named {value.__module__}.{value.__qualname__}")
        elif isinstance(value, uuid.UUID):
            self._mark("uuid")  # drawn anew in each process, and tells nothing of the content
        elif isinstance(value, enum.Enum):
            self.add(("enum", type(value), value.name))
        elif isinstance(value, nn.Module) and not self.known.isdisjoint(value.modules()):
            self._mark("the known network")
        elif isinstance(value, nn.Module):
            self.add(("network", type(value), value.state_dict()))
        elif hasattr(value, "__dict__"):
            public = {name: content for name, content in vars(value).items() if not name.startswith("_")}
            self.add(("object", type(value), public))
        else:
            self.sha.update(os.urandom(16))  # nothing is known of it, so it equals nothing

    def _tensor(self, tensor: Tensor) -> None:
        flat = tensor.detach().reshape(-1)
        self._mark(f"tensor {tuple(tensor.shape)} {tensor.dtype}")
        if self.samples is not None and len(flat) > self.samples:
            flat = flat[torch.linspace(0, len(flat) - 1, self.samples, dtype=torch.float64).long()]
        if len(flat):
            self.sha.update(flat.cpu().contiguous().view(torch.uint8).numpy().data)

    def _mark(self, text: str) -> None:
        self.sha.update(f"{text}\n".encode())
