"""A stand-in for the VAE of Stable Diffusion 1.x: one color for each 8x8 pixels, four numbers to a color, no weights.

It shows roughly what latents hold, and gives tests and benchmarks latents without a file.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

# Red, green and blue in -1..1 for each latent channel (VAE latent x 0.18215). Widely published; a linear fit.
LATENT_TO_RGB = torch.tensor(
    [
        [0.3512, 0.2297, 0.3227],
        [0.3250, 0.4974, 0.2350],
        [-0.2829, 0.1762, 0.2721],
        [-0.2120, -0.2616, -0.7177],
    ]
)
PATCH = 8


def decode(latent: Tensor) -> Tensor:
    """One pixel for each 8x8. latent: b 4 f h w; result: b 3 f h w in [0, 1]."""
    rgb = torch.einsum("b c f h w, c r -> b r f h w", latent.float(), LATENT_TO_RGB.to(latent.device))
    return ((rgb + 1) / 2).clamp(0, 1)


def decode_enlarged(latent: Tensor) -> Tensor:
    """At the size that was encoded. latent: b 4 f h w; result: b 3 f H W in [0, 1]."""
    return decode(latent).repeat_interleave(PATCH, 3).repeat_interleave(PATCH, 4)


def encode(images: Tensor) -> Tensor:
    """The smallest latents that decode to the mean color of each 8x8 pixels. images: b 3 f H W in [0, 1]."""
    frames = rearrange(images.float(), "b c f h w -> (b f) c h w")
    colors = rearrange(F.avg_pool2d(frames, PATCH), "(b f) c h w -> b c f h w", b=len(images))
    rgb_to_latent = torch.linalg.pinv(LATENT_TO_RGB).to(images.device)
    return torch.einsum("b r f h w, r c -> b c f h w", 2 * colors - 1, rgb_to_latent)
