"""A Pose: unseen points, ownership of its arrays, and errors."""

import numpy as np
import pytest

from tests.support.poses import REFERENCE
from unianimate_core.pose import Pose, PoseError


def test_unseen_points_are_stored_at_minus_one_with_score_zero():
    """A point is unseen by a score of 0.3 or less, or because it already lies there."""
    score = np.array([0.3, 0.31, *[1] * 18])
    body = REFERENCE.body.copy()
    body[5] = -1
    pose = Pose(body, REFERENCE.hands, REFERENCE.face, score)
    assert pose.body[0].tolist() == pose.body[5].tolist() == [-1, -1]
    assert pose.body_score[[0, 1, 5]].tolist() == [0, 0.31, 0]
    assert pose.hand_seen.all() and pose.face_seen.all() and pose.body_seen.sum() == 18


def test_a_pose_owns_its_arrays():
    body = REFERENCE.body.copy()
    pose = Pose(body, REFERENCE.hands, REFERENCE.face)
    body[:] = 7
    assert pose == REFERENCE


def test_an_empty_pose_is_empty_and_flat_has_an_inverse():
    assert Pose.empty().is_empty and not REFERENCE.is_empty
    assert Pose.from_flat(*REFERENCE.flat()) == REFERENCE


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (np.zeros((18, 2)), r"body has shape \(18, 2\): it must be \(20, 2\)"),
        (np.full((20, 2), np.nan), "not finite"),
        ("body", "not an array of numbers"),
        ([[1, 2], [3]], "not an array of numbers"),
    ],
)
def test_errors_name_a_wrong_array(body, names):
    with pytest.raises(PoseError, match=names):
        Pose(body, REFERENCE.hands, REFERENCE.face)


def test_unseen_points_need_not_be_finite():
    body = REFERENCE.body.copy()
    body[3] = np.nan
    assert not Pose(body, REFERENCE.hands, REFERENCE.face, np.arange(20) != 3).body_seen[3]
