"""Boxes of people in frames between two that were searched."""

from __future__ import annotations

import numpy as np

LEAST_OVERLAP = 0.5
"""People in two frames are the same if their boxes overlap by this much; less, and the frames between are searched."""


def matched_boxes(before: np.ndarray, after: np.ndarray) -> np.ndarray | None:
    """The boxes `after` (n, 4) in the order of `before` (n, 4); None where they are not evidently the same people."""
    if len(before) != len(after):
        return None
    if not len(before):
        return after
    overlaps = box_overlaps(before, after)
    order = overlaps.argmax(1)
    if len(set(order.tolist())) < len(order) or overlaps.max(1).min() < LEAST_OVERLAP:
        return None
    return after[order]


def boxes_between(before: np.ndarray, after: np.ndarray, count: int) -> list[np.ndarray]:
    """`count` evenly spaced steps from boxes `before` to matched boxes `after`, both left out."""
    steps = np.arange(1, count + 1) / (count + 1)
    return [((1 - step) * before + step * after).astype(np.float32) for step in steps]


def box_overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union (n, m) of boxes (n, 4) and (m, 4): x1, y1, x2, y2."""
    a, b = a[:, None].astype(np.float64), b[None].astype(np.float64)
    size = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = size.clip(0).prod(-1)
    union = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - shared
    return shared / np.maximum(union, 1e-12)
