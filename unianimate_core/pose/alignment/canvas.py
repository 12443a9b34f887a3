"""Moves poses to a canvas of a different shape, and finds frames that leave it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..clip import BODY, KeypointClip
from ..keypoints import Pose


def onto_canvas(poses: Sequence[Pose], size: tuple[int, int], new_size: tuple[int, int]) -> list[Pose]:
    """The poses with the whole old canvas centered within the new one, so that nobody is squashed or cut.

    size, new_size: width and height, in any unit.
    """
    clip = KeypointClip.from_poses(poses)
    ratio = (size[0] / size[1]) / (new_size[0] / new_size[1])
    factors = np.array([min(1.0, ratio), min(1.0, 1 / ratio)])
    return clip.with_points(0.5 + (clip.points - 0.5) * factors).to_poses()


def frames_outside(poses: Sequence[Pose]) -> list[int]:
    """Numbers of the frames in which less than half of the seen joints lie on the canvas."""
    clip = KeypointClip.from_poses(poses)
    points, seen = clip.points[:, BODY], clip.seen[:, BODY]
    on_canvas = (seen & (points >= 0).all(-1) & (points <= 1).all(-1)).sum(1)
    return np.flatnonzero(seen.any(1) & (2 * on_canvas < seen.sum(1))).tolist()
