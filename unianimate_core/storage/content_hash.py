"""Hashes of the content of values: numbers, tensors, networks, and objects that patch them.

Equal content has the same hash in every process, so a hash can name what a file was computed from.
"""

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
    """SHA-256 of the values, in hex. It covers every element of a tensor."""
    return _hashed(values, samples=None)


def weights_hash(*values: Any, ignored: nn.Module | None = None) -> str:
    """Like content_hash, but covers only the shape, the dtype and WEIGHT_SAMPLES evenly spaced elements of a tensor.

    So gigabytes of weights take a moment, and training is still detected, because it changes nearly every element.
    ignored: a network whose weights do not count, nor do those of anything that contains a part of it. A host may
    be changing them at this moment.
    """
    return _hashed(values, samples=WEIGHT_SAMPLES, ignored=ignored)


def _hashed(values: tuple, samples: int | None, ignored: nn.Module | None = None) -> str:
    hasher = _Hasher(samples, ignored)
    hasher.add(values)
    return hasher.sha.hexdigest()


class _Hasher:
    """Feeds values to SHA-256.

    Each value starts with its kind and each container with its length, so that different values never make the same
    sequence of bytes.
    """

    def __init__(self, samples: int | None, ignored: nn.Module | None):
        self.sha = hashlib.sha256()
        self.samples = samples
        self.ignored = set() if ignored is None else set(ignored.modules())
        self.seen: dict[int, int] = {}
        self.alive: list[Any] = []  # an id is unique only while its object exists

    def add(self, value: Any) -> None:
        if value is None or isinstance(value, (bool, int, float, str, bytes, torch.dtype, torch.device)):
            self._mark(f"{type(value).__name__} {value!r}")
            return
        if id(value) in self.seen:  # it occurs twice, or contains itself
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
        """Add the type and the public attributes: names with an underscore hold what changes while it is used."""
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
            self._mark("uuid")  # random in each process, and unrelated to the content
        elif isinstance(value, enum.Enum):
            self.add(("enum", type(value), value.name))
        elif isinstance(value, nn.Module) and not self.ignored.isdisjoint(value.modules()):
            self._mark("the known network")  # a part of files' names, so its text must not change
        elif isinstance(value, nn.Module):
            self.add(("network", type(value), value.state_dict()))
        elif hasattr(value, "__dict__"):
            public = {name: content for name, content in vars(value).items() if not name.startswith("_")}
            self.add(("object", type(value), public))
        else:
            self.sha.update(os.urandom(16))  # its content cannot be read, so it equals nothing

    def _tensor(self, tensor: Tensor) -> None:
        flat = tensor.detach().reshape(-1)
        self._mark(f"tensor {tuple(tensor.shape)} {tensor.dtype}")
        if self.samples is not None and len(flat) > self.samples:
            flat = flat[torch.linspace(0, len(flat) - 1, self.samples, dtype=torch.float64).long()]
        if len(flat):
            self.sha.update(flat.cpu().contiguous().view(torch.uint8).numpy().data)

    def _mark(self, text: str) -> None:
        self.sha.update(f"{text}\n".encode())
