"""Reads checkpoint files without running code from them and without copying their tensors."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

_ZIP = b"PK"  # PyTorch's present format, the only one that can be mapped
_PICKLE = b"\x80"


class CheckpointError(ValueError):
    """A checkpoint cannot be read, or belongs to another network. The message is one sentence for the user."""


def read(path: str | os.PathLike) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a .safetensors file or a PyTorch pickle by name, and the metadata (empty for a pickle).

    Tensors are mapped from the file, not copied. A pickle may contain only tensors and plain values.
    Raises FileNotFoundError, or CheckpointError if the file is damaged, is not a checkpoint, or would run code.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    return _tensors_of(path, _unpickle(path)), {}


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(_damaged(path, error)) from error


def _unpickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=_starts_with(path, _ZIP))
    except pickle.UnpicklingError as error:
        reason = str(error).split("WeightsUnpickler error: ")[-1]
        if "GLOBAL" in reason or ("Unsupported operand" in reason and _starts_with(path, _PICKLE)):
            raise CheckpointError(
                f"{path.name} holds more than tensors and could run code when opened: it was not opened; "
                "use the published file or a .safetensors"
            ) from error
        raise CheckpointError(_damaged(path, reason)) from error
    except OSError:
        raise
    except Exception as error:  # a damaged pickle can raise anything: struct.error, KeyError, AssertionError
        raise CheckpointError(_damaged(path, error)) from error


def _starts_with(path: Path, beginning: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(beginning)) == beginning


def _damaged(path: Path, error: Exception | str) -> str:
    """The sentence for a file that cannot be read."""
    with path.open("rb") as file:
        beginning = file.read(200)
    if beginning and all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in beginning):
        return f"{path.name} is text (a web page, or a pointer of git-lfs), not a checkpoint: download the file itself"
    reason = (str(error).strip() or type(error).__name__).split("\n")[0].split(". ")[0][:160]
    return (
        f"{path.name} ({path.stat().st_size:,} bytes) is cut off, damaged, or no checkpoint ({reason}): "
        "compare its size with the published one and download it again"
    )


def _tensors_of(path: Path, content: Any) -> dict[str, Tensor]:
    """The tensors of a pickle, which may wrap them as {"state_dict": ..., "step": ...}."""
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path.name} holds a {type(content).__name__}: a checkpoint holds tensors by name")
    tensors = {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        raise CheckpointError(f"{path.name} holds no tensors: it is not a checkpoint")
    return tensors
