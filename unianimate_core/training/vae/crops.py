"""Training images of the VAE: crops around drawn people."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from ...drawn_world.characters import draw_clip
from ...drawn_world.world import random_stream
from ...media.images import as_images

SIZES = ((128, 64), (128, 128), (192, 128), (256, 192))
"""Heights and widths at which people are drawn."""


def crops(step: int, clips: int, frames: int, size: int, seed: int = 0) -> Tensor:
    """The batch of one step: (clips * frames) 3 size size in [0, 1]. The same arguments give the same batch.

    Each crop lies near a random joint, where the image is hard, a little to one side.
    """
    random = random_stream("train", seed)
    random.bit_generator.advance(step * 10_000)  # pyright: ignore[reportAttributeAccessIssue]  (PCG64 has it)
    images = []
    for _ in range(clips):
        height, width = SIZES[random.integers(len(SIZES))]
        clip = draw_clip(int(random.integers(1 << 40)), frames, height, width)
        for frame, pose in zip(clip.frames, clip.poses, strict=True):
            joint = pose.body[random.integers(20)] * (width, height)
            corner = joint - size / 2 + random.integers(-size // 4, size // 4 + 1, 2)
            left, top = (int(np.clip(c, 0, side - size)) for c, side in zip(corner, (width, height), strict=True))
            images.append(frame[top : top + size, left : left + size])
    return as_images(np.stack(images))
