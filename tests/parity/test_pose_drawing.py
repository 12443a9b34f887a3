"""Drawings agree with the authors' to the pixel: the network was trained on no other style."""

import json

import cv2
import numpy as np
import pytest
import torch

from tests.support import DATA
from unianimate_core.pose import Pose, draw_pose
from unianimate_core.pose.drawing.resize import resize_bilinear


def recorded_image(name: str) -> np.ndarray:
    return cv2.imread(str(DATA / name))[..., ::-1]


def recorded_pose() -> Pose:
    return Pose(**json.loads((DATA / "draw_pose.json").read_text()))


def test_body_and_hands_agree_to_the_pixel():
    drawn = draw_pose(recorded_pose(), 768, 512)
    np.testing.assert_array_equal(drawn, recorded_image("draw_pose_768x512.png"))


def test_a_face_agrees_to_the_pixel():
    drawn = draw_pose(recorded_pose(), 768, 512, face=True)
    np.testing.assert_array_equal(drawn, recorded_image("draw_pose_face_768x512.png"))


def test_large_hands_and_unseen_points_agree_to_the_pixel():
    """Finger lines are long enough here to show their colors and order."""
    recorded = json.loads((DATA / "draw_hands.json").read_text())
    pose = Pose(**recorded["pose"], body_score=recorded["visible"])
    np.testing.assert_array_equal(draw_pose(pose, 768, 512), recorded_image("draw_hands_768x512.png"))


@pytest.mark.parametrize("size", [(1216, 768), (384, 256), (1024, 300), (500, 700), (768, 512), (77, 1000)])
def test_resizing_agrees_with_torch(size):
    """The authors scaled the drawn images with torch's antialiased bilinear filter; ties may round either way."""
    image = draw_pose(recorded_pose(), 768, 512)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    expected = torch.nn.functional.interpolate(tensor, size, mode="bilinear", antialias=True)[0].permute(1, 2, 0)
    difference = resize_bilinear(image, *size).astype(np.float32) - expected.numpy()
    assert np.abs(difference).max() < 0.51
