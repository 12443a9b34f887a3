"""Images as arrays and as tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unianimate_core.media.images import as_clip, as_frames, as_images, as_values

FRAMES = np.random.default_rng(0).integers(256, size=(5, 6, 4, 3), dtype=np.uint8)


def test_every_level_survives_the_way_to_the_network_and_back():
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    assert np.array_equal(as_frames(as_clip(levels)), levels)
    assert np.array_equal(as_frames(as_clip(FRAMES)), FRAMES)


def test_the_same_pixel_is_found_in_every_form():
    """An exchange of height and width, or of frames and colors, can hide in a square image or a clip of three."""
    frame, row, column, color = 4, 5, 2, 1
    expected = pytest.approx(FRAMES[frame, row, column, color] / 255)
    assert as_values(FRAMES)[frame, row, column, color].item() == expected
    assert as_images(FRAMES)[frame, color, row, column].item() == expected
    assert as_clip(FRAMES)[0, color, frame, row, column].item() == expected


def test_values_beyond_the_range_are_cut_and_others_rounded():
    """A decoder overshoots; without the cut 256 would become 0, a black speck in a white wall."""
    clip = torch.tensor([-0.1, 1.1, 0.6 / 255]).reshape(1, 3, 1, 1, 1)
    assert as_frames(clip).tolist() == [[[[0, 255, 1]]]]
