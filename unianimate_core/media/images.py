"""Images between what files and drawings are (uint8 arrays, frames first) and what networks take (values in [0, 1]).

Results of the first three share their memory's order with the arrays, in which the convolutions of a CPU are faster.
"""

from __future__ import annotations

import numpy as np
import torch
from einops import rearrange
from torch import Tensor


def as_values(images: np.ndarray | Tensor) -> Tensor:
    """uint8 of any shape; result the same shape in [0, 1], fp32."""
    return torch.as_tensor(images).float() / 255


def as_images(frames: np.ndarray) -> Tensor:
    """uint8 f h w 3; result f 3 h w in [0, 1], as metrics take them."""
    return rearrange(as_values(frames), "f h w c -> f c h w")


def as_clip(frames: np.ndarray) -> Tensor:
    """uint8 f h w 3; result 1 3 f h w in [0, 1], as UniAnimate and its VAE take them."""
    return rearrange(as_values(frames), "f h w c -> 1 c f h w")


def as_frames(clip: Tensor) -> np.ndarray:
    """1 3 f h w, cut to [0, 1] and rounded; result uint8 f h w 3."""
    levels = (255 * clip.float().clamp(0, 1)).round().to(torch.uint8)
    return rearrange(levels, "1 c f h w -> f h w c").cpu().numpy()
