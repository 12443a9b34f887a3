"""Detection agrees with the authors' code: boxes, crops, decoding and order of points."""

import numpy as np
import pytest

from tests.support.pose_networks import RECORDED, recorded_image, write_detector, write_keypoint_network
from unianimate_core.pose import PoseDetector


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    return PoseDetector(
        write_detector(folder / "detector.onnx", RECORDED["people"]),
        write_keypoint_network(folder / "keypoints.onnx", RECORDED["salt"]),
        device="cpu",
    )


def test_keypoints_of_all_people_agree_with_the_authors(detector):
    """Four people, two of them tiny, each with one duplicate box. The tolerance is that of float32 in pixels."""
    keypoints, scores = detector.wholebody(recorded_image())
    np.testing.assert_allclose(keypoints, RECORDED["keypoints"], rtol=0, atol=1e-4)
    np.testing.assert_allclose(scores, RECORDED["scores"], rtol=0, atol=1e-5)


def test_the_skeleton_of_the_first_person_agrees_with_the_authors(detector):
    first = detector([recorded_image()])[0][0]
    for name in ("body", "hands", "face"):
        np.testing.assert_allclose(getattr(first, name), RECORDED["first_person"][name], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(first.body_seen, RECORDED["first_person"]["visible"])
