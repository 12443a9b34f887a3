"""Keeps the lower foot where the driving dancer has it, without letting one wrong ankle move the body."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from ..keypoints import LEFT_ANKLE, LEFT_HIP, LEFT_KNEE, NECK, RIGHT_ANKLE, RIGHT_HIP, RIGHT_KNEE
from .bone_lengths import LONGEST, distances, steady_length

if TYPE_CHECKING:
    from ..clip import KeypointClip

LEGS = ((NECK, RIGHT_HIP, RIGHT_KNEE, RIGHT_ANKLE), (NECK, LEFT_HIP, LEFT_KNEE, LEFT_ANKLE))

MEDIAN_FRAMES = 5
"""Window of the running median. A change that lasts for less than half of it is an error of the detector."""
SMOOTHING = 2.5
"""Standard deviation of the Gaussian, in frames: knees take ten frames and more to bend, noise changes in each."""


def with_feet_as_driven(points: np.ndarray, clip: KeypointClip, scale: np.ndarray) -> np.ndarray:
    """The points, each frame moved up or down so that the lower ankle moves as the driving dancer's, scaled.

    points: (frames, 130, 2), retargeted. clip: the driving poses. scale: (2,), of x and y.
    """
    moved = points.copy()
    moved[..., 1] += _smooth(_without_outliers(_lifts(points, clip, scale[1])))[:, None]
    return moved


def _lifts(points: np.ndarray, clip: KeypointClip, scale: float) -> np.ndarray:
    """(frames,) how far the lower driving ankle, scaled, lies below the lower placed one; 0 without ankles.

    Each ankle is interpolated over its own gaps: while the standing foot is hidden, the raised one must not replace
    it. In a gap the ankle moves with the neck, and its lift is interpolated between the neighboring frames.
    """
    every = np.arange(len(points))
    neck = np.zeros(len(points))
    if clip.seen[:, NECK].any():
        neck = np.interp(every, *_known(clip.points[:, NECK, 1] * scale, clip.seen[:, NECK]))
    driven, placed = [], []
    for leg in LEGS:
        ankle = leg[-1]
        plausible = plausible_ankles(clip, leg)
        if not plausible.any():
            continue
        own = clip.points[:, ankle, 1] * scale
        below_neck = np.interp(every, *_known(own - neck, plausible))
        lift = np.interp(every, *_known(own - points[:, ankle, 1], plausible))
        driven.append(np.where(plausible, own, neck + below_neck))
        placed.append(driven[-1] - lift)
    return np.max(driven, 0) - np.max(placed, 0) if driven else np.zeros(len(points))


def plausible_ankles(clip: KeypointClip, leg: tuple[int, ...]) -> np.ndarray:
    """(frames,) bool: the last joint of `leg` is seen, and no two joints of it are much farther apart than usual."""
    plausible = clip.seen[:, leg[-1]].copy()
    for a, b in combinations(leg, 2):
        apart = distances(clip.points[:, a], clip.points[:, b], clip.seen[:, a] & clip.seen[:, b])
        steady = steady_length(apart)
        if steady:
            plausible &= ~(apart > LONGEST * steady)  # NaN, of unseen joints, is not too long
    return plausible


def _known(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    frames = np.flatnonzero(known)
    return frames, values[frames]


def _without_outliers(values: np.ndarray) -> np.ndarray:
    """Running median, over fewer frames at the ends."""
    padded = np.pad(values, MEDIAN_FRAMES // 2, constant_values=np.nan)
    return np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, MEDIAN_FRAMES), axis=1)


def _smooth(values: np.ndarray) -> np.ndarray:
    """A Gaussian of the values, plus the Gaussian of what it removed, so that a bend of the knees keeps its depth.

    It does not lag, and zeros stay zeros.
    """
    if len(values) < 2:
        return values
    once = _gaussian(values)
    return once + _gaussian(values - once)


def _gaussian(values: np.ndarray) -> np.ndarray:
    reach = int(3 * SMOOTHING)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / SMOOTHING) ** 2)
    padded = np.pad(values, reach, mode="reflect", reflect_type="odd")  # continues the movement at the ends
    return np.convolve(padded, weights / weights.sum(), mode="valid")
