"""A figure of joints alone that stands, walks and waves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from unianimate_core.pose import Pose
from unianimate_core.pose import keypoints as points

ASPECT = 2 / 3  # width / height of the canvas

# Joint and its parent as numbered in Pose.body; length in canvas heights; degrees when standing, where 0 hangs down
# and 90 points to the right of the image.
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
    """Joints of somebody who faces us, arms a little away from the body."""
    return figure({})


def walking(phase: float) -> np.ndarray:
    """Joints of somebody who waves while walking on the spot. phase: 0..1 for one round."""
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
    """20 joints in the order of Pose.body, as fractions of the canvas. angles: by joint, where not as standing."""
    joints = np.zeros((20, 2))
    joints[points.NECK] = 0.5 * ASPECT + sway, 0.26  # here in units of the canvas's height
    for joint, parent, length, standing_angle in SKELETON:
        angle = np.radians(angles.get(joint, standing_angle))
        joints[joint] = joints[parent] + length * np.array([np.sin(angle), np.cos(angle)])
    return joints / (ASPECT, 1)


def skeleton(joints: np.ndarray) -> Pose:
    """A pose without hands and face."""
    return Pose(joints, hands=np.full((2, 21, 2), points.UNSEEN), face=np.full((68, 2), points.UNSEEN))
