"""Taking the jitter out of key points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..clip import BODY, KeypointClip
from ..keypoints import Pose, PoseError

DEFAULT_STRENGTH = 0.5
"""What to try first; smoothing is off (0) unless asked for."""

STILL_CUTOFF = 1.5
"""Hz, the cut-off of a point at rest at strength 0.5; it halves or doubles with every 0.25 of strength."""
SPEED_GAIN = 20.0
"""Hz that the cut-off gains for every body height a second: fast movements pass as they are."""
SPEED_CUTOFF = 3.0
"""Hz, of the smoothed speed: above the pace of gestures, so that their turning points are not cut."""
LEAST_WEIGHT = 0.3
"""Of a point that is hardly seen: its cut-off is multiplied by this, by 1 for one that is certain."""


def smooth_poses(poses: Sequence[Pose], strength: float = 0.0, *, fps: float = 30.0) -> list[Pose]:
    """One person's poses, smoothed by a One-Euro filter; 0 leaves them as they are, 1 is strongest.

    fps: frames a second. Each point is filtered forwards and backwards and the mean taken: what lags in one leads in
    the other, so steady movement is not delayed. Points of low score follow their neighbors in time more. Where a
    point is not seen the filter starts anew. Source: Casiez et al. 2012; both directions and scores are ours.
    """
    if not 0 <= strength <= 1:
        raise PoseError(f"smoothing strength is {strength}: it must be 0 (off) to 1")
    if not fps > 0:
        raise PoseError(f"fps is {fps}: it must be above 0 frames a second")
    if strength == 0 or len(poses) < 2:
        return list(poses)
    clip = KeypointClip.from_poses(poses)
    size = _body_height(clip)
    cutoff = STILL_CUTOFF * 4 ** (2 * (0.5 - strength))
    forwards = _one_euro(clip.points, clip.scores, cutoff, fps, size)
    backwards = _one_euro(clip.points[::-1], clip.scores[::-1], cutoff, fps, size)[::-1]
    return clip.with_points((forwards + backwards) / 2).to_poses()


def _one_euro(points: np.ndarray, scores: np.ndarray, cutoff: float, fps: float, size: float) -> np.ndarray:
    """points (frames, 130, 2), scores (frames, 130), cut-off at rest in Hz, size of the body -> points."""
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
    """How much of a new value an exponential filter of this cut-off (Hz) takes."""
    return 1 / (1 + fps / (2 * np.pi * np.asarray(cutoff)))


def _body_height(clip: KeypointClip) -> float:
    """Median over frames of the height of the seen joints; 1 where there are none."""
    y = np.where(clip.seen[:, BODY], clip.points[:, BODY, 1], np.nan)[clip.seen[:, BODY].sum(1) > 1]
    heights = np.nanmax(y, 1) - np.nanmin(y, 1) if len(y) else np.array([1.0])
    return max(float(np.median(heights)), 1e-6)
