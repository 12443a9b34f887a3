"""The authors' alignment, which takes every ratio from one frame of the driving sequence."""

from __future__ import annotations

import numpy as np

from ..clip import BODY, HANDS, KeypointClip
from ..keypoints import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER
from .bone_lengths import OPPOSITE
from .bones import steady_scale

LEFT_HAND, RIGHT_HAND = (list(range(130)[hand]) for hand in HANDS)
STEPS = (
    (1, 0, [0, 14, 15, 16, 17]),
    (1, 2, [2, 3, 4, *RIGHT_HAND]),
    (1, 5, [5, 6, 7, *LEFT_HAND]),
    (2, 3, [3, 4, *RIGHT_HAND]),
    (3, 4, [4, *RIGHT_HAND]),
    (5, 6, [6, 7, *LEFT_HAND]),
    (6, 7, [7, *LEFT_HAND]),
    (0, 14, [14, 16]),
    (0, 15, [15, 17]),
    (14, 16, [16]),
    (15, 17, [17]),
    (8, 9, [9, 10, 19]),
    (9, 10, [10, 19]),
    (11, 12, [12, 13, 18]),
    (12, 13, [13, 18]),
)
"""Parent, child, and the points that move with the child, in the authors' order. Hips and face do not move."""

SHORTEST = 1e-9  # in fractions of the canvas: shorter lengths give no ratio


def align_by_frame(target: KeypointClip, clip: KeypointClip, scale_from: str | int) -> tuple[np.ndarray, np.ndarray]:
    """Scales by shoulder width and torso height, then bone by bone. The shift comes later.

    target: one frame. scale_from: "first" (the first frame that shows a body) or the number of a frame. Returns points
    (frames, 130, 2) and the scales of x and y (2,).

    Unlike the authors' code, it replaces ratios of unseen joints: the scale of one axis by that of the other, both by
    the scale of the seen bones, a bone's ratio by its opposite's, else by 1. Source: the authors' inference code.
    """
    frame = int(np.argmax(clip.seen[:, BODY].any(1))) if scale_from == "first" else int(scale_from)
    seen = clip.seen[frame] & target.seen[0]
    scale = _axis_scales(target.points[0], clip.points[frame], seen)
    if np.isnan(scale).all():
        scale = steady_scale(target, KeypointClip(clip.points[[frame]], clip.scores[[frame]]))
    scale = np.where(np.isnan(scale), np.nanmax(scale), scale)
    points = clip.points * scale
    ratios = _bone_ratios(target.points[0], points[frame], seen)
    for parent, child, moved in STEPS:
        both = clip.seen[:, parent] & clip.seen[:, child]
        shift = (ratios[child] - 1) * (points[:, child] - points[:, parent])
        points[:, moved] += np.where(both[:, None], shift, 0)[:, None]
    return points, scale


def _axis_scales(reference: np.ndarray, driving: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Scales of x by the shoulders and of y by the torso, (2,); NaN if a joint is unseen."""
    shoulders, hips = [RIGHT_SHOULDER, LEFT_SHOULDER], [RIGHT_HIP, LEFT_HIP]
    scales = [np.nan, np.nan]
    if seen[shoulders].all():
        scales[0] = _ratio(*(p[LEFT_SHOULDER, 0] - p[RIGHT_SHOULDER, 0] for p in (reference, driving)))
    if seen[shoulders + hips].all():
        scales[1] = _ratio(*(p[hips, 1].mean() - p[shoulders, 1].mean() for p in (reference, driving)))
    return np.array(scales)


def _bone_ratios(reference: np.ndarray, driving: np.ndarray, seen: np.ndarray) -> dict[int, float]:
    """Child joint -> reference length / driving length."""
    own = {}
    for parent, child, _ in STEPS:
        lengths = (np.hypot(*(points[child] - points[parent])) for points in (reference, driving))
        own[child] = _ratio(*lengths) if seen[parent] and seen[child] else np.nan
    ratios = {}
    for child, ratio in own.items():
        opposite = own.get(OPPOSITE.get(child, child), np.nan)
        ratios[child] = next((known for known in (ratio, opposite) if np.isfinite(known)), 1.0)
    return ratios


def _ratio(reference: float, driving: float) -> float:
    return float(reference / driving) if abs(driving) > SHORTEST else np.nan
