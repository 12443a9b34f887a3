"""ComfyUI's images (IMAGE: b h w c in 0..1, on the CPU) checked, brought to the clip's size, turned to b 3 H W."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FITS = ["crop", "pad", "stretch"]
SIZE_STEP = 64
# How far two aspect ratios may differ and still mean the same canvas: a rounded pixel or two.
SAME_ASPECT = 0.02


def check_size(width: int, height: int) -> None:
    """Raises ValueError where the network cannot make clips of this size, saying which are nearest."""
    for name, value in (("width", width), ("height", height)):
        if value < SIZE_STEP or value % SIZE_STEP:
            below = max(SIZE_STEP, value // SIZE_STEP * SIZE_STEP)
            nearest = sorted({below, below + SIZE_STEP} if value > SIZE_STEP else {SIZE_STEP})
            works = " and ".join(map(str, nearest))
            raise ValueError(f"{name} is {value}, not a multiple of {SIZE_STEP}: the nearest that work are {works}")


def check_images(name: str, images: Tensor, *, single: bool = False) -> Tensor:
    """The images as fp32 b h w 3; an alpha channel is dropped.

    Raises ValueError where there are none, several instead of one, other channels, or values that are no colors.
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
    """Raises ValueError where two inputs have different aspect ratios, so that places in them do not correspond."""
    (height, width), (other_height, other_width) = images.shape[1:3], other.shape[1:3]
    ratio = (width / height) / (other_width / other_height)
    if abs(ratio - 1) > SAME_ASPECT:
        raise ValueError(
            f"{name} is {width}x{height}, {other_name} {other_width}x{other_height} (width x height): {remedy}"
        )


def frame(images: Tensor, width: int, height: int, fit: str) -> Tensor:
    """The part of the images that fills width x height: cut ("crop"), widened in black ("pad") or all ("stretch").

    images: b h w 3; result b 3 h' w' at the images' own scale.
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
    """b 3 h w to b 3 height width, bilinear, antialiased where it gets smaller."""
    if images.shape[2:] == (height, width):
        return images.contiguous()
    return F.interpolate(images, (height, width), mode="bilinear", antialias=True).clamp(0, 1)


def fit_images(images: Tensor, width: int, height: int, fit: str) -> Tensor:
    """b h w 3 to b 3 height width."""
    return resize(frame(images, width, height, fit), width, height)
