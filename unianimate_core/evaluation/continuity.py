"""Seams and drift: whether a long video made of segments looks like one.

A seam is where one segment hands over to the next: a jump there that is larger than the ordinary change from frame to
frame is seen as a cut. Drift is what wanders slowly from the reference image, above all color, one segment after
the other. Both take frames one at a time, so that length costs no memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Seam:
    """jump: of the change at the seams to the ordinary change, 1 where nothing is seen; worst: of the largest one."""

    jump: float
    worst: float


@dataclass(frozen=True)
class Drift:
    """Distance of the color statistics to the reference's, in 8-bit steps.

    start, end: means over the first and the last segment; a_segment: growth from one segment to the next, by least
    squares.
    """

    start: float
    end: float
    a_segment: float


def frame_changes(frames: Iterable[np.ndarray]) -> np.ndarray:
    """Mean absolute difference of each frame to the one before, in 8-bit steps. frames: uint8 h w 3; result: f-1."""
    changes, before = [], None
    for frame in frames:
        current = frame.astype(np.int16)
        if before is not None:
            changes.append(float(np.abs(current - before).mean()))
        before = current
    return np.array(changes)


def seam_jump(changes: np.ndarray, segments: Sequence[range]) -> Seam:
    """The change at the seams against the median of all other changes.

    changes: of frame_changes. segments: the frames that each segment shows (long_video.new_frames); a seam lies before
    the first frame of each but the first. Raises ValueError where there is no seam, or nothing to compare with.
    """
    seams = [frames.start - 1 for frames in segments[1:]]
    ordinary = np.delete(changes, seams)
    if not seams or not len(ordinary):
        raise ValueError(f"{len(segments)} segments of {len(changes) + 1} frames have no seam to compare: give more")
    usual = max(float(np.median(ordinary)), 1e-9)
    return Seam(float(changes[seams].mean()) / usual, float(changes[seams].max()) / usual)


def color_statistics(frame: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of red, green and blue, in 8-bit steps. frame: uint8 h w 3; result: 6."""
    pixels = frame.reshape(-1, 3).astype(np.float64)
    return np.concatenate([pixels.mean(0), pixels.std(0)])


def detail(frames: Iterable[np.ndarray]) -> np.ndarray:
    """Mean absolute difference of neighboring pixels of each frame, in 8-bit steps: less of it is blur. Result: f."""
    return np.array(
        [float(np.mean([np.abs(np.diff(f.astype(np.int16), axis=axis)).mean() for axis in (0, 1)])) for f in frames]
    )


def color_distances(frames: Iterable[np.ndarray], reference: np.ndarray) -> np.ndarray:
    """Root mean square difference of each frame's color statistics to the reference's. Result: f, 8-bit steps.

    A person who moves changes them a little; what grows from segment to segment is drift.
    """
    aim = color_statistics(reference)
    return np.array([float(np.sqrt(np.mean((color_statistics(frame) - aim) ** 2))) for frame in frames])


def drift(distances: np.ndarray, segments: Sequence[range]) -> Drift:
    """How the distance to the reference grows. distances: of color_distances; segments: as of seam_jump."""
    means = np.array([distances[frames.start : frames.stop].mean() for frames in segments])
    slope = float(np.polyfit(np.arange(len(means)), means, 1)[0]) if len(means) > 1 else 0.0
    return Drift(float(means[0]), float(means[-1]), slope)
