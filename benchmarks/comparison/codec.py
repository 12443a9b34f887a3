"""The VAE that the benchmarks animate with."""

from __future__ import annotations

from pathlib import Path

import torch

from unianimate_core.vae.autoencoder import LINEAR, Autoencoder, open_autoencoder


def load_codec(path: Path | None, device: torch.device | str) -> Autoencoder:
    """The VAE of a file, in fp32, or without one the linear stand-in, which knows one color for 8x8 pixels."""
    return open_autoencoder(LINEAR if path is None else path, device, exact=True)
