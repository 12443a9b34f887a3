"""The VAE: from pictures to latents before training, and back for validation videos."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from ... import linear_vae
from ...checkpoint import files
from ...content_hash import weights_hash
from ...diffusion import LATENT_SCALE
from ...tiny_vae import load_tiny_vae
from ..settings import TrainingError

LINEAR = "linear"
_DECODING = ("decoder.", "post_quant_conv.")  # in the names of what only decoding needs
_PREFIXES = ("first_stage_model.", "vae.", "")


Coding = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Autoencoder:
    """encode: pictures b 3 f H W in [0, 1] to latents b 4 f h w in latent units (x 0.18215); decode: back.

    Both take tensors of any device and give them on the VAE's own; the stand-in leaves them where they are.
    identity: a hash of the encoder's weights: the decoder may be trained further, latents stay what they are.
    """

    encode: Coding
    decode: Coding
    identity: str


def open_autoencoder(
    source: str | os.PathLike, device: torch.device | str = "cpu", *, exact: bool = False
) -> Autoencoder:
    """A file of TAESD's form or of Stable Diffusion's VAE; "linear" is the stand-in without weights, to try things.

    exact: everything in fp32, where TAESD's form is otherwise encoded in bf16 on CPUs, which takes half the time.
    Raises TrainingError where a file is neither.
    """
    if str(source) == LINEAR:
        return Autoencoder(linear_vae.encode, _enlarged, LINEAR)
    tensors, _ = files.read(source)
    tiny = any(name.startswith("taesd_") for name in tensors)
    encode, decode = _tiny(tensors, device, exact) if tiny else _kl(Path(source).name, tensors, device)

    @torch.no_grad()
    def on_device(function: Coding, x: Tensor) -> Tensor:
        return function(x.to(device))

    encoder = {name: tensor for name, tensor in tensors.items() if not any(part in name for part in _DECODING)}
    return Autoencoder(partial(on_device, encode), partial(on_device, decode), weights_hash(encoder))


def _enlarged(latents: Tensor) -> Tensor:
    small = linear_vae.decode(latents)
    return small.repeat_interleave(linear_vae.PATCH, 3).repeat_interleave(linear_vae.PATCH, 4)


def _tiny(tensors: Mapping[str, Tensor], device: torch.device | str, exact: bool) -> tuple[Coding, Coding]:
    vae: Any = load_tiny_vae(tensors)
    vae.to(device=device, memory_format=torch.channels_last)  # a quarter faster on a CPU
    if exact:
        return vae.encode, vae.decode

    def encode(pictures: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):  # what is decoded stays the same within 0.1 dB
            return vae.encode(pictures).float()

    return encode, vae.decode


def _kl(label: str, tensors: Mapping[str, Tensor], device: torch.device | str) -> tuple[Coding, Coding]:
    kl = _kl_autoencoder(label, tensors).to(device)

    def encode(pictures: Tensor) -> Tensor:
        frames = rearrange(2 * pictures - 1, "b c f h w -> (b f) c h w")
        latents = LATENT_SCALE * kl.encode(frames).latent_dist.mean
        return rearrange(latents, "(b f) c h w -> b c f h w", b=len(pictures))

    def decode(latents: Tensor) -> Tensor:
        frames = kl.decode(rearrange(latents / LATENT_SCALE, "b c f h w -> (b f) c h w")).sample
        return (rearrange(frames, "(b f) c h w -> b c f h w", b=len(latents)) + 1) / 2

    return encode, decode


def _kl_autoencoder(label: str, tensors: Mapping[str, Tensor]) -> Any:
    """Stable Diffusion's VAE by diffusers, from a file with its names or with those of the original, fp32."""
    prefix = next((p for p in _PREFIXES if f"{p}decoder.conv_in.weight" in tensors), None)
    if prefix is None:
        raise TrainingError(f"{label} is no VAE that is known here: give one of Stable Diffusion's, or of TAESD's form")
    plain = {name[len(prefix) :]: tensor.float() for name, tensor in tensors.items() if name.startswith(prefix)}
    try:
        from diffusers import AutoencoderKL
        from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
    except ImportError as error:
        raise ImportError(
            "Stable Diffusion's VAE needs diffusers, which is not installed: "
            'run pip install -e ".[training]" in the folder of this pack'
        ) from error

    original = "encoder.down.0.block.0.conv1.weight" in plain
    block, levels = (
        ("encoder.down.{}.block.0.conv1.weight" if original else "encoder.down_blocks.{}.resnets.0.conv1.weight"),
        4,
    )
    config = {
        "block_out_channels": [len(plain[block.format(level)]) for level in range(levels)],
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "layers_per_block": 2,
        "latent_channels": 4,
    }
    kl = AutoencoderKL(**config)
    kl.load_state_dict(convert_ldm_vae_checkpoint(plain, kl.config) if original else plain)
    return kl.requires_grad_(False).eval()
