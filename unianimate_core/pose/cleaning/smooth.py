"""Removes jitter from keypoints with a One-Euro filter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..clip import BODY, KeypointClip
from ..keypoints import Pose, PoseError

DEFAULT_STRENGTH = 0.5
"""The strength to try first. Smoothing is off (0) by default."""

STILL_CUTOFF = 1.5
"""Hz: cutoff of a point at rest, at strength 0.5. Every 0.25 of strength halves it."""
SPEED_GAIN = 20.0
"""Hz added to the cutoff for every body height per second, so that fast movements pass unchanged."""
SPEED_CUTOFF = 3.0
"""Hz: cutoff of the speed itself. It is above the pace of gestures, so that their turning points are not flattened."""
LEAST_WEIGHT = 0.3
"""Factor for the cutoff of a point of score 0; it rises to 1 at score 1."""


def smooth_poses(poses: Sequence[Pose], strength: float = 0.0, *, fps: float = 30.0) -> list[Pose]:
    """One person's poses, smoothed. strength: 0 leaves them unchanged, 1 is strongest. fps: frames per second.

    Each point is filtered forwards and backwards, and the mean taken: a lag in one direction is a lead in the other,
    so steady movement is not delayed. Points of low score are smoothed more. The filter restarts after a frame in
    which the point is unseen. Source: Casiez et al. 2012; filtering in both directions and by score is ours.

    Raises PoseError if strength or fps is out of range.
    """
    if not 0 <= strength <= 1:
        raise PoseError(f"smoothing strength is {strength}: it must be 0 (off) to 1")
    if not fps > 0:
        raise PoseError(f"fps is {fps}: it must be above 0 frames per second")
    if strength == 0 or len(poses) < 2:
        return list(poses)
    clip = KeypointClip.from_poses(poses)
    size = _body_height(clip)
    cutoff = STILL_CUTOFF * 4 ** (2 * (0.5 - strength))
    forwards = _one_euro(clip.points, clip.scores, cutoff, fps, size)
    backwards = _one_euro(clip.points[::-1], clip.scores[::-1], cutoff, fps, size)[::-1]
    return clip.with_points((forwards + backwards) / 2).to_poses()


def _one_euro(points: np.ndarray, scores: np.ndarray, cutoff: float, fps: float, size: float) -> np.ndarray:
    """Filtered points (frames, 130, 2). scores: (frames, 130); cutoff: Hz, at rest; size: height of the body."""
    smoothed = points.copy()
    speed = np.zeros_like(points[0])
    speed_share = _share(SPEED_CUTOFF, fps)
    for frame in range(1, len(points)):
        follows = ((scores[frame] > 0) & (scores[frame - 1] > 0))[:, None]
        step = (points[frame] - points[frame - 1]) * fps / size
        speed = np.where(follows, speed + speed_share * (step - speed), 0)
        weight = LEAST_WEIGHT + (1 - LEAST_WEIGHT) * scores[frame].clip(0, 1)
        rate = weight * (cutoff + SPEED_GAIN * np.hypot(speed[:, 0], speed[:, 1]))
        kept = smoothed[frame - 1] + _share(rate, fps)[:, None] * (points[frame] - smoothed[frame - 1])
        smoothed[frame] = np.where(follows, kept, points[frame])
    return smoothed


def _share(cutoff: np.ndarray | float, fps: float) -> np.ndarray:
    """The weight of a new value in an exponential filter of this cutoff (Hz)."""
    return 1 / (1 + fps / (2 * np.pi * np.asarray(cutoff)))


def _body_height(clip: KeypointClip) -> float:
    """Median over frames of the height of the seen joints; 1 if no frame shows two."""
    y = np.where(clip.seen[:, BODY], clip.points[:, BODY, 1], np.nan)[clip.seen[:, BODY].sum(1) > 1]
    heights = np.nanmax(y, 1) - np.nanmin(y, 1) if len(y) else np.array([1.0])
    return max(float(np.median(heights)), 1e-6)
