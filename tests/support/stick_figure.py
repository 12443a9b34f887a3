"""The joints of a stick figure that stands, walks and waves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from unianimate_core.pose import Pose
from unianimate_core.pose import keypoints as points

ASPECT = 2 / 3  # width / height of the canvas

# Joint and its parent, numbered as in Pose.body; length in canvas heights; angle when standing, in degrees: 0 points
# down, 90 to the right of the image.
SKELETON = (
    (0, 1, 0.09, 180),
    (14, 0, 0.028, -135),
    (15, 0, 0.028, 135),
    (16, 14, 0.027, -70),
    (17, 15, 0.027, 70),
    (2, 1, 0.09, -84),
    (3, 2, 0.14, -20),
    (4, 3, 0.13, -10),
    (5, 1, 0.09, 84),
    (6, 5, 0.14, 20),
    (7, 6, 0.13, 10),
    (8, 1, 0.266, -12),
    (9, 8, 0.19, -4),
    (10, 9, 0.17, -4),
    (19, 10, 0.045, -27),
    (11, 1, 0.266, 12),
    (12, 11, 0.19, 4),
    (13, 12, 0.17, 4),
    (18, 13, 0.045, 27),
)


def standing() -> np.ndarray:
    """Joints (20, 2) of a person who faces the camera, with arms a little away from the body."""
    return figure({})


def walking(phase: float) -> np.ndarray:
    """Joints (20, 2) of a person who waves while walking on the spot. phase: 0..1 is one period."""
    swing, wave = np.sin(2 * np.pi * phase), np.sin(4 * np.pi * phase)
    right, left = max(swing, 0), max(-swing, 0)
    angles = {
        points.RIGHT_ELBOW: -105,
        points.RIGHT_WRIST: -170 + 25 * wave,
        points.LEFT_ELBOW: 25 + 15 * swing,
        points.LEFT_WRIST: 10 + 30 * swing,
        points.RIGHT_KNEE: -6 - 14 * right,
        points.RIGHT_ANKLE: -4 + 20 * right,
        points.LEFT_KNEE: 6 + 14 * left,
        points.LEFT_ANKLE: 4 - 20 * left,
    }
    return figure(angles, sway=0.012 * swing)


def figure(angles: Mapping[int, float], sway: float = 0.0) -> np.ndarray:
    """Joints (20, 2) in the order of Pose.body, in fractions of the canvas. angles: by joint; the others stand."""
    joints = np.zeros((20, 2))
    joints[points.NECK] = 0.5 * ASPECT + sway, 0.26  # here in units of the canvas's height
    for joint, parent, length, standing_angle in SKELETON:
        angle = np.radians(angles.get(joint, standing_angle))
        joints[joint] = joints[parent] + length * np.array([np.sin(angle), np.cos(angle)])
    return joints / (ASPECT, 1)


def skeleton(joints: np.ndarray) -> Pose:
    """A pose without hands and without a face."""
    return Pose(joints, hands=np.full((2, 21, 2), points.UNSEEN), face=np.full((68, 2), points.UNSEEN))
