"""Keeping the lower foot where the driving dancer has it, without letting one wrong ankle move the body."""

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
"""Whatever lasts for less than half of these frames is an error of the detector."""
SMOOTHING = 2.5
"""Frames, the standard deviation of the Gaussian: knees bend over ten frames and more, noise changes in each."""


def with_feet_as_driven(points: np.ndarray, clip: KeypointClip, scale: np.ndarray) -> np.ndarray:
    """Moves each frame up or down so that the lower ankle goes scale times as far as the driving dancer's.

    points (frames, 130, 2): as retargeted; scale: (2,), of x and y.
    """
    moved = points.copy()
    moved[..., 1] += _smooth(_without_outliers(_lifts(points, clip, scale[1])))[:, None]
    return moved


def _lifts(points: np.ndarray, clip: KeypointClip, scale: float) -> np.ndarray:
    """(frames,) how far the lower of the driving ankles, scaled, lies below the lower placed one; 0 without ankles.

    Each ankle is carried over its own gaps: while the standing foot is hidden, the raised one must not stand in.
    It goes with the neck then, and keeps the lift between that of its neighbors.
    """
    every = np.arange(len(points))
    neck = np.zeros(len(points))
    if clip.seen[:, NECK].any():
        neck = np.interp(every, *_known(clip.points[:, NECK, 1] * scale, clip.seen[:, NECK]))
    driven, placed = [], []
    for leg in LEGS:
        ankle = leg[-1]
        believable = believable_ankles(clip, leg)
        if not believable.any():
            continue
        own = clip.points[:, ankle, 1] * scale
        below_neck = np.interp(every, *_known(own - neck, believable))
        lift = np.interp(every, *_known(own - points[:, ankle, 1], believable))
        driven.append(np.where(believable, own, neck + below_neck))
        placed.append(driven[-1] - lift)
    return np.max(driven, 0) - np.max(placed, 0) if driven else np.zeros(len(points))


def believable_ankles(clip: KeypointClip, leg: tuple[int, ...]) -> np.ndarray:
    """(frames,) where the last joint of `leg` is seen and no two of its joints are much farther apart than usual."""
    believable = clip.seen[:, leg[-1]].copy()
    for a, b in combinations(leg, 2):
        apart = distances(clip.points[:, a], clip.points[:, b], clip.seen[:, a] & clip.seen[:, b])
        steady = steady_length(apart)
        if steady:
            believable &= ~(apart > LONGEST * steady)  # not seen is NaN, which is not too long
    return believable


def _known(values: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    frames = np.flatnonzero(known)
    return frames, values[frames]


def _without_outliers(values: np.ndarray) -> np.ndarray:
    """Running median; at the ends, of the frames there are."""
    padded = np.pad(values, MEDIAN_FRAMES // 2, constant_values=np.nan)
    return np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, MEDIAN_FRAMES), axis=1)


def _smooth(values: np.ndarray) -> np.ndarray:
    """A Gaussian, and once more over what it took away: so that a bend of the knees keeps its depth. It does not lag,
    and what is 0 throughout stays 0."""
    if len(values) < 2:
        return values
    once = _gaussian(values)
    return once + _gaussian(values - once)


def _gaussian(values: np.ndarray) -> np.ndarray:
    reach = int(3 * SMOOTHING)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / SMOOTHING) ** 2)
    padded = np.pad(values, reach, mode="reflect", reflect_type="odd")  # goes on as it went: steady movement stays
    return np.convolve(padded, weights / weights.sum(), mode="valid")
