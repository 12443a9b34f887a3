"""What guides a clip is checked once, and fitted to the clip's size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.poses import REFERENCE
from unianimate_core.guidance import Guidance, read_guidance

RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.integers(0, 256, (192, 128, 3), np.uint8)


def test_all_forms_of_an_image_are_the_same():
    """PIL, arrays and tensors, with frames or channels first or last, in bytes or in fractions."""
    values = torch.from_numpy(IMAGE).float() / 255
    forms = [Image.fromarray(IMAGE), IMAGE, IMAGE[None], values, values.numpy(), values.permute(2, 0, 1), values[None]]
    for form in forms:
        assert torch.equal(read_guidance(form, REFERENCE, [REFERENCE]).reference_image, values[None])


def test_an_image_with_transparency_or_in_gray_becomes_rgb():
    pil = Image.fromarray(IMAGE).convert("RGBA")
    assert read_guidance(pil, REFERENCE, [REFERENCE]).reference_image.shape == (1, 192, 128, 3)
    assert read_guidance(IMAGE[..., :1], REFERENCE, [REFERENCE]).reference_image.shape == (1, 192, 128, 3)


def test_drawn_poses_and_pose_objects_guide_alike():
    """Poses are drawn as in training, on the reference image's canvas."""
    from unianimate_core.pose import draw_poses

    drawn = draw_poses([REFERENCE] * 3, 192, 128)
    by_poses, by_images = (read_guidance(IMAGE, REFERENCE, poses) for poses in ([REFERENCE] * 3, drawn))
    assert len(by_poses) == len(by_images) == 3
    assert torch.equal(by_poses.fitted_poses().whole(), by_images.fitted_poses().whole())
    assert by_poses.fitted_poses().whole().shape == by_poses.fitted_poses().shape == (3, 3, 192, 128)


def test_the_size_is_the_images_unless_given():
    assert read_guidance(IMAGE, REFERENCE, [REFERENCE]).fitted(torch.zeros(1, 192, 128, 3)).shape[2:] == (192, 128)
    guidance = read_guidance(IMAGE, REFERENCE, [REFERENCE], width=64, height=64)
    assert guidance.fitted(guidance.reference_image).shape == guidance.fitted_poses().whole().shape == (1, 3, 64, 64)
    assert guidance.seen_reference().shape == (1, 3, 128, 128)  # cropped, at its own resolution


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"reference_image": IMAGE[:100]}, "height is 100, not a multiple of 64: the nearest that work are 64 and 128"),
        ({"reference_image": "image.png"}, "reference_image is a str: give a PIL image, an array or a tensor"),
        ({"reference_image": IMAGE.astype(int)}, "reference_image holds torch.int64: give uint8"),
        ({"reference_image": IMAGE.astype(np.float32)}, "reference_image has values from 0 to 255: give floats"),
        ({"reference_image": np.stack([IMAGE, IMAGE])}, "reference_image has 2 images: connect one"),
        ({"reference_pose": np.stack([IMAGE, IMAGE])}, "reference_pose has 2 images: connect one"),
        ({"poses": []}, "poses has 0 frames: give at least one pose"),
        ({"poses": [1, 2]}, "poses is a sequence of int: give Pose objects"),
        ({"poses": None}, "poses is a NoneType: give"),
        ({"poses": IMAGE[:64]}, r"poses is 128x64, reference_pose 128x192 \(width x height\): draw both on the same"),
        ({"first_frame": np.stack([IMAGE, IMAGE])}, "first_frame has 2 images"),
        ({"fit": "squash"}, "fit is 'squash': choose one of crop, pad, stretch"),
        ({"width": 70}, "width is 70, not a multiple of 64"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(changed, message):
    """The sentence names the input and the value, and is the nodes' sentence."""
    given = {"reference_image": IMAGE, "reference_pose": REFERENCE, "poses": [REFERENCE]} | changed
    with pytest.raises(ValueError, match=message):
        read_guidance(**given)


def test_poses_of_another_shape_than_the_image_need_stretch():
    """Places in the two would not correspond."""
    square = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(ValueError, match="reference_pose is 64x64, reference_image 128x192"):
        read_guidance(IMAGE, square, square)
    assert isinstance(read_guidance(IMAGE, square, square, fit="stretch"), Guidance)
