"""How well a VAE reconstructs drawn people that it never saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...drawn_world.characters import draw_clip
from ...drawn_world.world import Split
from ...evaluation.metrics import psnr
from ...media.images import as_images
from ...vae.tiny import TinyVAE


@dataclass(frozen=True)
class Reconstruction:
    """images, decoded: n 3 h w in [0, 1]; latents: n 4 h/8 w/8; psnr: (n,), dB on 8-bit values."""

    images: Tensor
    decoded: Tensor
    latents: Tensor
    psnr: np.ndarray


@torch.no_grad()
def reconstruct(
    vae: TinyVAE, height: int, width: int, people: int, *, split: Split = "test", latent_noise: float = 0.0
) -> Reconstruction:
    """One image of each of `people` people, encoded and decoded. latent_noise: standard deviation of added noise."""
    frames = np.stack([draw_clip(seed, 1, height, width, split=split).frames[0] for seed in range(people)])
    images = as_images(frames)
    noise = torch.Generator().manual_seed(0)
    decoded, latents = [], []
    for batch in images.split(16):
        latent = vae.encode(batch.unsqueeze(2))
        latents.append(latent.squeeze(2))
        disturbed = latent + latent_noise * torch.randn(latent.shape, generator=noise)
        decoded.append(vae.decode(disturbed).squeeze(2))
    decoded = torch.cat(decoded)
    return Reconstruction(images, decoded, torch.cat(latents), psnr(decoded, images).numpy())
