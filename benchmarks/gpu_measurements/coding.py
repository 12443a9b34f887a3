"""The VAE: images to latents and back."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from unianimate_core import mini
from unianimate_core.optional import require
from unianimate_core.storage.safetensors_file import write_safetensors
from unianimate_core.vae.autoencoder import Autoencoder, open_autoencoder

from .measurement import OUT_OF_MEMORY, Bench, Row, costs, memory_columns

CLIP = (32, 512, 768)  # frames, width, height


def taesd(bench: Bench) -> list[Row]:
    """TAESD's form, with the weights of UniAnimate-mini."""
    return coded(bench, open_autoencoder(mini.VAE, bench.device))


def stable_diffusion(bench: Bench) -> list[Row]:
    """Stable Diffusion's form with random weights, in fp32, one frame at a time."""
    diffusers = require("diffusers", "Stable Diffusion's VAE", extra="training")
    widths = (32, 32, 32, 32) if bench.tiny else (128, 256, 512, 512)
    blocks = {"down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}
    network = diffusers.AutoencoderKL(block_out_channels=widths, layers_per_block=2, latent_channels=4, **blocks)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "vae.safetensors"
        write_safetensors(path, network.state_dict())
        return coded(bench, open_autoencoder(path, bench.device))


def coded(bench: Bench, vae: Autoencoder) -> list[Row]:
    frames, width, height = bench.size(*CLIP)
    images = torch.rand(1, 3, frames, height, width, device=bench.device)
    latents = torch.randn(1, 4, frames, height // 8, width // 8, device=bench.device)
    directions = {"encode": lambda: vae.encode(images), "decode": lambda: vae.decode(latents)}
    rows: list[Row] = []
    for name, cost in costs(bench, directions).items():
        row: Row = {"direction": name, "s": OUT_OF_MEMORY}
        if cost is not None:
            row |= {"s": cost.times, "ms a frame": 1e3 * cost.median / frames} | memory_columns(cost)
        rows.append(row)
    return rows
