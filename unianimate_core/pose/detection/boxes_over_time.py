"""Boxes of people in the frames between two searched ones."""

from __future__ import annotations

import numpy as np

from ..boxes import box_overlaps

LEAST_OVERLAP = 0.5
"""People of two frames are the same if their boxes overlap at least this much; else the frames between are searched."""


def matched_boxes(before: np.ndarray, after: np.ndarray) -> np.ndarray | None:
    """The boxes `after` (n, 4) in the order of `before` (n, 4), or None if they are not clearly the same people."""
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
    """`count` evenly spaced steps from boxes `before` (n, 4) to matched boxes `after`, without these two."""
    steps = np.arange(1, count + 1) / (count + 1)
    return [((1 - step) * before + step * after).astype(np.float32) for step in steps]
