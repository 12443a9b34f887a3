"""The VAE: from images to latents before training, and back for validation videos."""

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

from ..checkpoint import CheckpointError, files
from ..diffusion import LATENT_SCALE
from ..storage.content_hash import weights_hash
from . import linear as linear_vae
from .tiny import load_tiny_vae

LINEAR = "linear"
_DECODING = ("decoder.", "post_quant_conv.")  # in the names of what only decoding needs
_PREFIXES = ("first_stage_model.", "vae.", "")
_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # as diffusers renamed it

Coding = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Autoencoder:
    """encode: images b 3 f H W in [0, 1] to latents b 4 f h w in latent units (x 0.18215); decode: back.

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
    Raises CheckpointError where a file is neither.
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

    def encode(images: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):  # what is decoded stays the same within 0.1 dB
            return vae.encode(images).float()

    return encode, vae.decode


def _kl(label: str, tensors: Mapping[str, Tensor], device: torch.device | str) -> tuple[Coding, Coding]:
    kl = _kl_autoencoder(label, tensors).to(device)

    def encode(images: Tensor) -> Tensor:
        return _frame_by_frame(lambda x: LATENT_SCALE * kl.encode(2 * x - 1).latent_dist.mean, images)

    def decode(latents: Tensor) -> Tensor:
        return _frame_by_frame(lambda x: (kl.decode(x / LATENT_SCALE).sample + 1) / 2, latents)

    return encode, decode


def _frame_by_frame(code: Coding, x: Tensor) -> Tensor:
    """Since each layer at full size makes 0.2 GB or more of a frame of 512x768, in fp32.

    x and the result: b c f h w; code takes and gives n c h w.
    """
    frames = [code(frame) for frame in rearrange(x, "b c f h w -> (b f) 1 c h w")]
    return rearrange(torch.stack(frames), "(b f) 1 c h w -> b c f h w", b=len(x))


def _kl_autoencoder(label: str, tensors: Mapping[str, Tensor]) -> Any:
    """Stable Diffusion's VAE by diffusers, from a file with its names or with those of the original, fp32."""
    prefix = next((p for p in _PREFIXES if f"{p}decoder.conv_in.weight" in tensors), None)
    if prefix is None:
        raise CheckpointError(_refusal(label))
    plain = {name[len(prefix) :]: tensor.float() for name, tensor in tensors.items() if name.startswith(prefix)}
    try:
        kl = _built(plain)
    except (RuntimeError, KeyError) as error:
        raise CheckpointError(_refusal(label)) from error
    return kl.requires_grad_(False).eval()


def _refusal(label: str) -> str:
    return f"{label} is no VAE that is known here: give one of Stable Diffusion's, or of TAESD's form"


def _built(tensors: Mapping[str, Tensor]) -> Any:
    """Raises RuntimeError or KeyError where the tensors are another network's."""
    try:
        from diffusers import AutoencoderKL
        from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint
    except ImportError as error:
        raise ImportError(
            "Stable Diffusion's VAE needs diffusers, which is not installed: "
            'run pip install -e ".[training]" in the folder of this pack'
        ) from error

    original = "encoder.down.0.block.0.conv1.weight" in tensors
    block = "encoder.down.{}.block.0.conv1.weight" if original else "encoder.down_blocks.{}.resnets.0.conv1.weight"
    levels = 4
    config = {
        "block_out_channels": [len(tensors[block.format(level)]) for level in range(levels)],
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "layers_per_block": 2,
        "latent_channels": 4,
    }
    kl = AutoencoderKL(**config)
    if original:
        kl.load_state_dict(convert_ldm_vae_checkpoint(dict(tensors), kl.config))
    else:
        kl.load_state_dict({_renamed(name): tensor for name, tensor in tensors.items()})
    return kl


def _renamed(name: str) -> str:
    """sd-vae-ft-mse, among others, was published with the names that attention had before."""
    if ".attentions." not in name:
        return name
    module, layer, kind = name.rsplit(".", 2)
    return f"{module}.{_ATTENTION.get(layer, layer)}.{kind}"
