"""VAEs between images and latents: TAESD's form, Stable Diffusion's, or a stand-in without weights."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from ..checkpoint import CheckpointError, files
from ..diffusion import LATENT_SCALE
from ..optional import require
from ..precision import cpu_has_bf16
from ..storage.content_hash import weights_hash
from . import linear
from .tiny import TinyVAE, load_tiny_vae

LINEAR = "linear"
_DECODING = ("decoder.", "post_quant_conv.")  # in the names of what only decoding needs
_PREFIXES = ("first_stage_model.", "vae.", "")
_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # as diffusers renamed it

Coding = Callable[[Tensor], Tensor]


class Autoencoder:
    """A VAE in the network's units.

    encode: images b 3 f H W in [0, 1], on any device, to latents b 4 f h w (VAE latent x 0.18215) on the VAE's device.
    decode: the reverse; values may lie slightly outside [0, 1].
    identity: a hash of the encoder's weights, on which latents depend; training the decoder further does not change it.
    """

    def __init__(self, encode: Coding, decode: Coding, identity: str, network: nn.Module | None = None):
        self.identity = identity
        self._encode, self._decode, self._network = encode, decode, network

    @property
    def device(self) -> torch.device | None:
        """Where it computes; None for the stand-in, which computes where its input is."""
        return None if self._network is None else next(self._network.parameters()).device

    def to(self, device: torch.device | str) -> Autoencoder:
        """Move the weights."""
        if self._network is not None:
            self._network.to(device)
        return self

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        return self._encode(images if self.device is None else images.to(self.device))

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        return self._decode(latents if self.device is None else latents.to(self.device))


def open_autoencoder(
    source: str | os.PathLike, device: torch.device | str = "cpu", *, exact: bool = False
) -> Autoencoder:
    """The VAE of a file of TAESD's form or of Stable Diffusion's; "linear" is the stand-in, to try things.

    exact: everything in fp32. Otherwise TAESD's form encodes in bf16 on a CPU that computes in bf16, in half the time.
    Raises FileNotFoundError, CheckpointError if the file is neither, and ImportError if diffusers is missing for
    Stable Diffusion's.
    """
    if str(source) == LINEAR:
        return Autoencoder(linear.encode, linear.decode_enlarged, LINEAR)
    tensors, _ = files.read(source)
    if any(name.startswith("taesd_") for name in tensors):
        network, encode, decode = _tiny(tensors, exact)
    else:
        network, encode, decode = _kl(Path(source).name, tensors)
    encoder = {name: tensor for name, tensor in tensors.items() if not any(part in name for part in _DECODING)}
    return Autoencoder(encode, decode, weights_hash(encoder), network).to(device)


def _tiny(tensors: Mapping[str, Tensor], exact: bool) -> tuple[TinyVAE, Coding, Coding]:
    vae: Any = load_tiny_vae(tensors)
    vae.to(memory_format=torch.channels_last)  # a quarter faster on a CPU

    def encode_in_bf16(images: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):  # what is decoded stays the same within 0.1 dB
            return vae.encode(images).float()

    return vae, vae.encode if exact or not cpu_has_bf16() else encode_in_bf16, vae.decode


def _kl(label: str, tensors: Mapping[str, Tensor]) -> tuple[nn.Module, Coding, Coding]:
    kl = _kl_autoencoder(label, tensors)

    def encode(images: Tensor) -> Tensor:
        return _frame_by_frame(lambda x: LATENT_SCALE * kl.encode(2 * x - 1).latent_dist.mean, images)

    def decode(latents: Tensor) -> Tensor:
        return _frame_by_frame(lambda x: (kl.decode(x / LATENT_SCALE).sample + 1) / 2, latents)

    return kl, encode, decode


def _frame_by_frame(code: Coding, x: Tensor) -> Tensor:
    """Apply code, n c h w to n c h w, to one frame at a time: a layer needs 0.2 GB or more for a frame of 512x768.

    x and the result: b c f h w.
    """
    frames = [code(frame) for frame in rearrange(x, "b c f h w -> (b f) 1 c h w")]
    return rearrange(torch.stack(frames), "(b f) 1 c h w -> b c f h w", b=len(x))


def _kl_autoencoder(label: str, tensors: Mapping[str, Tensor]) -> Any:
    """Stable Diffusion's VAE in fp32, from a file with the names of diffusers or of the original."""
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
    return f"{label} is no VAE that is known here: give one of Stable Diffusion 1.x or 2.x, or of TAESD's form"


def _built(tensors: Mapping[str, Tensor]) -> Any:
    """Raises RuntimeError or KeyError if the tensors are another network's."""
    diffusers = require("diffusers", "Stable Diffusion's VAE", extra="vae")
    single_file = require("diffusers.loaders.single_file_utils", "Stable Diffusion's VAE", extra="vae")

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
    kl = diffusers.AutoencoderKL(**config)
    if original:
        kl.load_state_dict(single_file.convert_ldm_vae_checkpoint(dict(tensors), kl.config))
    else:
        kl.load_state_dict({_renamed(name): tensor for name, tensor in tensors.items()})
    return kl


def _renamed(name: str) -> str:
    """Attention layers have older names in some published files, such as sd-vae-ft-mse."""
    if ".attentions." not in name:
        return name
    module, layer, kind = name.rsplit(".", 2)
    return f"{module}.{_ATTENTION.get(layer, layer)}.{kind}"
