"""Images: converted, checked, and fitted to a clip's size.

Files and drawings hold uint8 f H W 3; ComfyUI's IMAGE is float f H W 3 in [0, 1]; networks take 1 3 f H W in [0, 1].
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

Fit = Literal["crop", "pad", "stretch"]
FITS: tuple[Fit, ...] = get_args(Fit)
SIZE_STEP = 64
SAME_ASPECT = 0.02
"""Two canvases whose aspect ratios differ by no more than this share are the same, rounded to whole pixels."""


def as_values(images: np.ndarray | Tensor) -> Tensor:
    """uint8 of any shape to fp32 of the same shape in [0, 1]."""
    return torch.as_tensor(images).float() / 255


# The next two keep the memory order of the array (channels last), in which a CPU's convolutions are faster.


def as_images(frames: np.ndarray) -> Tensor:
    """uint8 f h w 3 to f 3 h w in [0, 1], as metrics take them."""
    return rearrange(as_values(frames), "f h w c -> f c h w")


def as_clip(frames: np.ndarray) -> Tensor:
    """uint8 f h w 3 to 1 3 f h w in [0, 1], as UniAnimate and its VAE take them."""
    return rearrange(as_values(frames), "f h w c -> 1 c f h w")


def as_frames(clip: Tensor) -> np.ndarray:
    """1 3 f h w, clamped to [0, 1], to uint8 f h w 3."""
    levels = (255 * clip.float().clamp(0, 1)).round().to(torch.uint8)
    return rearrange(levels, "1 c f h w -> f h w c").cpu().numpy()


def read_images(name: str, images: Any) -> Tensor:
    """Whatever holds images to fp32 f H W 3 in [0, 1].

    images: a PIL image; or an array or tensor of uint8 or of floats in [0, 1], H W C, f H W C, C H W or f C H W.
    Raises ValueError, which names the input, for anything else.
    """
    if hasattr(images, "convert"):  # a PIL image
        images = np.asarray(images.convert("RGB"))
    if not isinstance(images, (np.ndarray, Tensor)):
        raise ValueError(f"{name} is a {type(images).__name__}: give a PIL image, an array or a tensor")
    tensor = torch.from_numpy(np.array(images)) if isinstance(images, np.ndarray) else images.cpu()
    if tensor.ndim == 3:
        tensor = tensor[None]
    if tensor.ndim == 4 and tensor.shape[-1] not in (1, 3, 4) and tensor.shape[1] in (1, 3, 4):
        tensor = rearrange(tensor, "f c h w -> f h w c")
    if tensor.dtype == torch.uint8:
        tensor = as_values(tensor)
    elif not tensor.is_floating_point():
        raise ValueError(f"{name} holds {tensor.dtype}: give uint8 from 0 to 255, or floats from 0 to 1")
    elif tensor.numel() and tensor.isfinite().all() and (tensor.min() < -0.01 or tensor.max() > 1.01):
        raise ValueError(
            f"{name} has values from {tensor.min():.3g} to {tensor.max():.3g}: give floats from 0 to 1, or uint8"
        )
    return check_images(name, tensor)


def check_size(width: int, height: int) -> None:
    """Raises ValueError, with the nearest sizes that work, if the network cannot make clips of this size."""
    for name, value in (("width", width), ("height", height)):
        if value < SIZE_STEP or value % SIZE_STEP:
            below = max(SIZE_STEP, value // SIZE_STEP * SIZE_STEP)
            nearest = sorted({below, below + SIZE_STEP} if value > SIZE_STEP else {SIZE_STEP})
            works = " and ".join(map(str, nearest))
            raise ValueError(f"{name} is {value}, not a multiple of {SIZE_STEP}: the nearest that work are {works}")


def check_images(name: str, images: Tensor | None, *, single: bool = False) -> Tensor:
    """Images f H W C as fp32 f H W 3 in [0, 1]. An alpha channel is dropped; gray becomes RGB.

    Raises ValueError if there are none, several instead of one, other channels, or values that are no colors.
    """
    if images is None:
        raise ValueError(f"{name} is empty: the node before gave no image")
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4):
        raise ValueError(f"{name} has shape {tuple(images.shape)}: connect an IMAGE (images, height, width, RGB)")
    if 0 in images.shape:
        count, height, width, _ = images.shape
        raise ValueError(f"{name} has {count} images of {width}x{height}: connect at least one, of at least one pixel")
    if single and len(images) != 1:
        raise ValueError(f"{name} has {len(images)} images: connect one (ImageFromBatch picks it)")
    images = images[..., :3].float().expand(-1, -1, -1, 3)
    if not torch.isfinite(images).all():
        bad = next(i for i, image in enumerate(images) if not torch.isfinite(image).all())
        raise ValueError(
            f"{name} holds values that are not numbers (NaN or infinite), first in image {bad}: make it again"
        )
    return images.clamp(0, 1)


def check_same_canvas(name: str, images: Tensor, other_name: str, other: Tensor, remedy: str) -> None:
    """Raises ValueError if two inputs have different aspect ratios, so that their pixels do not correspond."""
    (height, width), (other_height, other_width) = images.shape[1:3], other.shape[1:3]
    ratio = (width / height) / (other_width / other_height)
    if abs(ratio - 1) > SAME_ASPECT:
        raise ValueError(
            f"{name} is {width}x{height}, {other_name} {other_width}x{other_height} (width x height): {remedy}"
        )


def frame(images: Tensor, width: int, height: int, fit: str) -> Tensor:
    """The part of the images that width x height shows: cropped, padded with black, or all of it ("stretch").

    images: b h w 3; result: b 3 h' w' at the images' own scale.
    """
    images = images.movedim(-1, 1)
    own_height, own_width = images.shape[2:]
    if fit == "stretch":
        return images
    scale = (min if fit == "crop" else max)(own_width / width, own_height / height)
    extra_width, extra_height = round(width * scale) - own_width, round(height * scale) - own_height
    left, top = extra_width // 2, extra_height // 2
    return F.pad(images, (left, extra_width - left, top, extra_height - top))  # negative sizes cut


def resize(images: Tensor, width: int, height: int) -> Tensor:
    """b 3 h w to b 3 height width, bilinear, antialiased when shrinking."""
    if images.shape[2:] == (height, width):
        return images.contiguous()
    return F.interpolate(images, (height, width), mode="bilinear", antialias=True).clamp(0, 1)


def fit_images(images: Tensor, width: int, height: int, fit: str) -> Tensor:
    """b h w 3 to b 3 height width."""
    return resize(frame(images, width, height, fit), width, height)
