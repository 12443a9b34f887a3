"""Made-up weights and inputs: every number follows from a name, so that nothing large has to be stored.

The recorded results in tests/data come from the authors' implementation with these very numbers.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

from tests.support import DATA
from unianimate_core.checkpoint import load_unet, to_modules
from unianimate_core.config import ModelConfig
from unianimate_core.model import UNet

HEAD_DIM = 16


def tensor(name: str, shape: Sequence[int]) -> Tensor:
    """Standard normal, fp32, the same wherever it is made."""
    seed = zlib.crc32(name.encode())
    draws = np.random.Generator(np.random.PCG64(seed)).standard_normal(tuple(shape), dtype=np.float32)
    return torch.from_numpy(draws)


def image(name: str, shape: Sequence[int]) -> Tensor:
    """Values in (0, 1)."""
    return tensor(name, shape).sigmoid()


def weights(shapes: Mapping[str, Sequence[int]]) -> dict[str, Tensor]:
    """Tensors by name, of a size that keeps activations near unit variance."""
    return {name: _weight(name, shape) for name, shape in shapes.items()}


def _weight(name: str, shape: Sequence[int]) -> Tensor:
    draws = tensor(name, shape)
    if len(shape) > 1:
        return draws / math.prod(shape[1:]) ** 0.5
    return 1 + 0.1 * draws if name.endswith("weight") else 0.1 * draws


@cache
def released_shapes() -> dict[str, list[int]]:
    """Name -> shape of the released checkpoint."""
    return json.loads((DATA / "checkpoint_keys.json").read_text())


@cache
def tiny_weights() -> dict[str, Tensor]:
    """The checkpoint of a small network of the same family. Shared: do not write to it."""
    return weights(json.loads((DATA / "tiny_keys.json").read_text())["keys"])


@cache
def tiny_config() -> ModelConfig:
    return ModelConfig.from_state_dict(tiny_weights(), head_dim=HEAD_DIM)


@cache
def tiny_unet() -> UNet:
    """The small network in fp32. Shared: do not change it."""
    return load_unet(tiny_weights(), config=tiny_config())


def tiny_unet_with(**settings) -> UNet:
    """The small network with other settings of UNet than the usual."""
    unet = UNet(tiny_config(), device="meta", **settings)
    unet.load_state_dict(to_modules(tiny_weights(), tiny_config()), assign=True)
    return unet.requires_grad_(False).eval()


def text() -> Tensor:
    return tensor("text_embeds", (1, 77, 64))


def latents(name: str = "x", frames: int = 5, height: int = 192, width: int = 128) -> Tensor:
    """Noisy latents of a clip. height, width: of its images."""
    return tensor(name, (1, 4, frames, height // 8, width // 8))


def conditions(
    names: Iterable[str], prefix: str = "", frames: int = 5, height: int = 192, width: int = 128
) -> dict[str, Tensor]:
    """The named conditions of a clip, as keywords of UNet.forward."""
    made = {
        "image": lambda name: tensor(name, (1, 1, 64)),
        "pose": lambda name: image(name, (1, 3, frames, height, width)),
        "reference_pose": lambda name: image(name, (1, 3, 1, height, width)),
        "reference_latent": lambda name: tensor(name, (1, 4, 1, height // 8, width // 8)),
        "first_frame": lambda name: image(name, (1, 3, 1, height, width)),
    }
    drawn = {"image": "image_embeds"}
    return {name: made[name](prefix + drawn.get(name, name)) for name in names}


REFERENCE_AND_POSE = ("image", "pose", "reference_pose", "reference_latent")
EVERYTHING = (*REFERENCE_AND_POSE, "first_frame")


def difference(result: Tensor, expected: Tensor) -> float:
    """Relative, in the L2 norm."""
    result, expected = result.double(), expected.double()
    return float((result - expected).norm() / expected.norm())
