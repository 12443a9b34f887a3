"""The poses of one person over a clip, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .keypoints import UNSEEN, Pose

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_FRAMES = 100_000
"""Limit for a clip: more than an hour at 24 frames per second. Keypoints of more frames would take gigabytes."""

BODY = slice(0, 20)
HANDS = (slice(20, 41), slice(41, 62))  # left, right
FACE = slice(62, 130)


@dataclass(frozen=True)
class KeypointClip:
    """points (frames, 130, 2) in the order of `Pose.flat`; scores (frames, 130), 0 for unseen points."""

    points: np.ndarray
    scores: np.ndarray

    @classmethod
    def from_poses(cls, poses: Sequence[Pose]) -> KeypointClip:
        """The stacked poses. An empty sequence gives arrays of 0 frames."""
        flat = [pose.flat() for pose in poses]
        points = np.array([points for points, _ in flat], np.float64).reshape(-1, 130, 2)
        return cls(points, np.array([scores for _, scores in flat], np.float64).reshape(-1, 130))

    def to_poses(self) -> list[Pose]:
        """One pose per frame. Points with score 0 become unseen, whatever their coordinates."""
        points = np.where(self.seen[..., None], self.points, UNSEEN)
        return [Pose.from_flat(*frame) for frame in zip(points, self.scores, strict=True)]

    @property
    def seen(self) -> np.ndarray:
        """(frames, 130) bool."""
        return self.scores > 0

    def with_points(self, points: np.ndarray) -> KeypointClip:
        """The same scores at other points."""
        return KeypointClip(points, self.scores)
