"""Initial weights of the tiny VAE: its latents are mean colors, and its images are made of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...vae.tiny import PATCH, TinyVAE

COLORS = 3


@torch.no_grad()
def initialize_from_mean_colors(vae: TinyVAE, images: Tensor) -> None:
    """Set weights so that three latents are the mean colors of 8x8 pixels, decorrelated and normalized.

    The first three channels of every layer carry red, green and blue, which no ReLU changes. The others keep their
    random weights, and the last layer ignores them at first. So the first image is coarse instead of gray, which saves
    hundreds of steps. images: n 3 h w in [0, 1], typical ones.
    """
    encoder, decoder = _convolutions(vae.taesd_encoder), _convolutions(vae.taesd_decoder)
    for conv in (*encoder[:-1], *decoder[1:]):
        conv.weight[:COLORS] = 0
        halves = conv.stride == (2, 2)
        for channel in range(COLORS):
            if halves:
                conv.weight[channel, channel, 1:, 1:] = 0.25  # the mean of 2x2 pixels
            else:
                conv.weight[channel, channel, 1, 1] = 1
    colors = F.avg_pool2d(images, PATCH).movedim(1, -1).reshape(-1, COLORS)
    mean = colors.mean(0)
    variance, axes = torch.linalg.eigh(torch.cov(colors.T))
    to_latent = axes.T / variance.clamp(min=1e-6).sqrt()[:, None]

    first, last = decoder[0], encoder[-1]
    assert first.bias is not None and last.bias is not None
    last.weight[:COLORS] = first.weight[:COLORS] = 0
    last.weight[:COLORS, :COLORS, 1, 1], last.bias[:COLORS] = to_latent, -to_latent @ mean
    first.weight[:COLORS, :COLORS, 1, 1], first.bias[:COLORS] = torch.linalg.inv(to_latent), mean
    rest = vae.taesd_encoder(images)[:, COLORS:]
    spread = rest.std((0, 2, 3))
    last.weight[COLORS:] /= spread[:, None, None, None]
    last.bias[COLORS:] = -rest.mean((0, 2, 3)) / spread


def _convolutions(layers: nn.Sequential) -> list[nn.Conv2d]:
    """The convolutions outside blocks."""
    return [layer for layer in layers if isinstance(layer, nn.Conv2d)]
