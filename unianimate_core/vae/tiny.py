"""A small VAE of TAESD's form: 8x8 pixels to 4 numbers and back, 2.4 million parameters, no attention and no norms.

Names and shapes are those by which ComfyUI's VAELoader knows the form (one file: `taesd_encoder.`, `taesd_decoder.`,
`vae_scale`, `vae_shift`). Source of the form: Ollin Boer Bohan, TAESD.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import torch
from einops import rearrange
from torch import Tensor, nn

from ..checkpoint.files import CheckpointError, read
from ..config import LATENT_CHANNELS
from ..diffusion import LATENT_SCALE
from ..storage.safetensors_file import write_safetensors

PATCH = 8
"""Pixels of a latent's side."""
WIDTH = 64
LARGEST = 3.0
"""Latents reach the decoder between minus and plus this: larger ones are bent towards it."""


class TinyVAE(nn.Module):
    """Images in [0, 1] to latents in the network's units (VAE latent x 0.18215) and back.

    Outside samplers ComfyUI divides latents by 0.18215: `vae_scale`, by which the form multiplies latents before
    decoding, undoes that, and the encoder gives the network's units directly.
    """

    vae_scale: Tensor
    vae_shift: Tensor

    def __init__(self):
        super().__init__()
        self.taesd_encoder = nn.Sequential(
            _conv(3, WIDTH),
            _Block(),
            *(layer for _ in range(3) for layer in (_conv(WIDTH, WIDTH, stride=2, bias=False), *_blocks())),
            _conv(WIDTH, LATENT_CHANNELS),
        )
        self.taesd_decoder = nn.Sequential(
            _Bend(),
            _conv(LATENT_CHANNELS, WIDTH),
            nn.ReLU(),
            *(
                layer
                for _ in range(3)
                for layer in (*_blocks(), nn.Upsample(scale_factor=2), _conv(WIDTH, WIDTH, bias=False))
            ),
            _Block(),
            _conv(WIDTH, 3),
        )
        self.register_buffer("vae_scale", torch.tensor(LATENT_SCALE))
        self.register_buffer("vae_shift", torch.tensor(0.0))

    def encode(self, images: Tensor) -> Tensor:
        """images: b 3 f H W in [0, 1], sides multiples of 8; result b 4 f h w."""
        frames = rearrange(images, "b c f h w -> (b f) c h w")
        return rearrange(self.taesd_encoder(frames), "(b f) c h w -> b c f h w", b=len(images))

    def decode(self, latent: Tensor) -> Tensor:
        """latent: b 4 f h w; result b 3 f H W in [0, 1]."""
        frames = rearrange(latent, "b c f h w -> (b f) c h w")
        return rearrange(self.taesd_decoder(frames), "(b f) c h w -> b c f h w", b=len(latent)).clamp(0, 1)


class _Block(nn.Module):
    """Three convolutions beside the input. They begin as nothing, so that a deep network learns at once."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(_conv(WIDTH, WIDTH), nn.ReLU(), _conv(WIDTH, WIDTH), nn.ReLU(), _conv(WIDTH, WIDTH))
        nn.init.zeros_(self.conv[4].weight)  # pyright: ignore[reportArgumentType]

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.conv(x))


class _Bend(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return LARGEST * torch.tanh(x / LARGEST)


def _blocks() -> tuple[_Block, _Block, _Block]:
    return _Block(), _Block(), _Block()


def _conv(channels_in: int, channels_out: int, **options) -> nn.Conv2d:
    conv = nn.Conv2d(channels_in, channels_out, 3, padding=1, **options)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    return conv


def load_tiny_vae(source: str | os.PathLike | Mapping[str, Tensor]) -> TinyVAE:
    """A VAE of this form from a file, or from tensors with its names, in fp32, ready to use.

    Raises FileNotFoundError, or CheckpointError where it is no file of this form or of another VAE.
    """
    tensors = source if isinstance(source, Mapping) else read(source)[0]
    vae = TinyVAE()
    expected = {name: tensor.shape for name, tensor in vae.state_dict().items()}
    wrong = [name for name in sorted(expected.keys() | tensors.keys()) if not _fits(name, expected, tensors)]
    if wrong:
        raise CheckpointError(
            f"the VAE has {len(wrong)} tensors that are missing, unexpected or misshapen ({', '.join(wrong[:3])}): "
            "give a file of TAESD's form with 4 latent channels, such as that in models/mini/vae"
        )
    vae.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    scale, shift = float(vae.vae_scale), float(vae.vae_shift)
    if abs(scale - LATENT_SCALE) > 1e-3 or shift:
        raise CheckpointError(
            f"the VAE has scale {scale:.5f} and shift {shift:.3g}: UniAnimate's latents need {LATENT_SCALE} and 0, "
            "as the VAEs of Stable Diffusion 1.x and 2.x have"
        )
    return vae.requires_grad_(False).eval()


def save_tiny_vae(tensors: Mapping[str, Tensor], destination: str | os.PathLike, metadata: Mapping[str, str]) -> None:
    """Write the tensors of a TinyVAE to safetensors in half precision. The file is either whole or absent."""
    write_safetensors(destination, {name: tensor.half() for name, tensor in tensors.items()}, metadata)


def _fits(name: str, expected: Mapping[str, torch.Size], tensors: Mapping[str, Tensor]) -> bool:
    return name in expected and name in tensors and tensors[name].shape == expected[name]
