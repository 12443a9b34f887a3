"""The VAE that the benchmarks animate with."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from unianimate_core import linear_vae
from unianimate_core.tiny_vae import load_tiny_vae

from .animation import Codec


def parse_vae(text: str) -> Path | None:
    """Of a command's option: a file, or "linear" for the stand-in."""
    return None if text == "linear" else Path(text)


def load_codec(path: Path | None, device: torch.device | str) -> Codec:
    """The VAE of TAESD's form in a file, or without one the linear stand-in, which knows one colour for 8x8 pixels."""
    if path is None:
        return Codec(linear_vae.encode, _enlarged)
    vae = load_tiny_vae(path)
    vae.to(device=device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return Codec(vae.encode, vae.decode)


def _enlarged(latents: Tensor) -> Tensor:
    small = linear_vae.decode(latents)
    frames = rearrange(small, "b c f h w -> (b f) c h w")
    large = F.interpolate(frames, scale_factor=linear_vae.PATCH, mode="bilinear").clamp(0, 1)
    return rearrange(large, "(b f) c h w -> b c f h w", b=len(latents))
