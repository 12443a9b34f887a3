"""Writes weights in every form in which checkpoints exist."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.support.recorded import HEAD_DIM, tiny_config
from unianimate_core.checkpoint.loading import HEAD_DIM_TENSOR, metadata_of


def save_safetensors(tensors: Mapping[str, Tensor], path: Path) -> Path:
    save_file(dict(tensors), path, metadata=metadata_of(tiny_config()))
    return path


def save_pickle(content, path: Path) -> Path:
    torch.save(content, path)
    return path


FORMS: dict[str, Callable[[dict[str, Tensor], Path], Path]] = {
    "plain pickle": lambda tensors, folder: save_pickle(tensors, folder / "unet.pth"),
    "wrapped pickle": lambda tensors, folder: save_pickle({"state_dict": tensors, "step": 223000}, folder / "unet.pth"),
    "old pickle": lambda tensors, folder: _save_old_pickle(tensors, folder / "unet.pth"),
    "data-parallel pickle": lambda tensors, folder: save_pickle(
        {f"module.{name}": tensor for name, tensor in tensors.items()}, folder / "unet.pt"
    ),
    "safetensors": lambda tensors, folder: save_safetensors(tensors, folder / "unet.safetensors"),
    "saved by a host": lambda tensors, folder: _save_as_host(tensors, folder / "unet.safetensors"),
}


def _save_old_pickle(tensors: dict[str, Tensor], path: Path) -> Path:
    torch.save(tensors, path, _use_new_zipfile_serialization=False)
    return path


def _save_as_host(tensors: dict[str, Tensor], path: Path) -> Path:
    """As ComfyUI's ModelSave does: with a prefix, its marker for v-prediction, and our marker for the head size."""
    prefixed = {f"model.diffusion_model.{name}": tensor for name, tensor in tensors.items()}
    save_file(prefixed | {"v_pred": torch.tensor([]), HEAD_DIM_TENSOR: torch.tensor(HEAD_DIM)}, path)
    return path
