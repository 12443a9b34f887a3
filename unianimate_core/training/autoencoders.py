"""The VAE: from pictures to latents before training, and back for validation videos."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from .. import linear_vae
from ..checkpoint import files
from ..content_hash import weights_hash
from .settings import TrainingError

LINEAR = "linear"


@dataclass(frozen=True)
class Autoencoder:
    """encode: pictures b 3 f H W in [0, 1] to latents b 4 f h w, in latent units (x 0.18215); decode: back.

    identity: a hash of its weights.
    """

    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    identity: str


def open_autoencoder(source: str | os.PathLike, device: torch.device | str = "cpu") -> Autoencoder:
    """A file of TAESD's form or of Stable Diffusion's VAE; "linear" is the stand-in without weights, to try things.

    Raises TrainingError where a file is neither.
    """
    if str(source) == LINEAR:
        return Autoencoder(linear_vae.encode, _enlarged, LINEAR)
    tensors, _ = files.read(source)
    if any(name.startswith("taesd_") for name in tensors):
        from .taesd import TinyAutoencoder  # pyright: ignore[reportMissingImports]

        tiny = TinyAutoencoder.load(source).to(device)
        return Autoencoder(tiny.encode, tiny.decode, weights_hash(tensors))
    raise TrainingError(f"{Path(source).name} is no VAE that is known here: give one of TAESD's form or Stable Diffusion's")


def _enlarged(latents: Tensor) -> Tensor:
    small = linear_vae.decode(latents)
    return small.repeat_interleave(linear_vae.PATCH, 3).repeat_interleave(linear_vae.PATCH, 4)
