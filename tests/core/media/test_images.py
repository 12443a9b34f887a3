"""Images as arrays and as tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unianimate_core.media.images import as_clip, as_frames, as_images, as_values, check_images, fit_images

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


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize(("height", "width"), [(48, 100), (100, 48), (64, 128), (333, 77)])
def test_every_fit_gives_the_asked_size(fit, height, width):
    images = torch.rand(2, height, width, 3)
    fitted = fit_images(images, 128, 192, fit)
    assert fitted.shape == (2, 3, 192, 128)
    assert 0 <= fitted.min() <= fitted.max() <= 1


def test_crop_keeps_the_middle_and_pad_keeps_everything():
    wide = torch.zeros(1, 64, 256, 3)
    wide[:, :, :64] = 1  # white left quarter
    assert fit_images(wide, 64, 64, "crop").max() == 0
    padded = fit_images(wide, 256, 256, "pad")
    assert padded[:, :, 96:160, :64].min() == 1
    assert padded[:, :, :96].max() == 0


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (torch.zeros(0, 8, 8, 3), "poses has 0 images of 8x8: connect at least one"),
        (torch.full((2, 8, 8, 3), float("nan")), "poses holds values that are not numbers"),
        (torch.zeros(2, 8, 8, 2), "poses has shape (2, 8, 8, 2): connect an IMAGE"),
        (torch.zeros(8, 8, 3), "poses has shape (8, 8, 3): connect an IMAGE"),
    ],
)
def test_images_that_are_none_are_refused(images, sentence):
    with pytest.raises(ValueError, match="poses") as refused:
        check_images("poses", images)
    assert sentence in str(refused.value)


def test_half_precision_and_alpha_are_accepted():
    checked = check_images("poses", torch.ones(2, 8, 8, 4, dtype=torch.float16))
    assert checked.dtype == torch.float32
    assert checked.shape == (2, 8, 8, 3)


def test_an_input_that_holds_nothing_is_refused():
    with pytest.raises(ValueError, match="poses is empty"):
        check_images("poses", None)
