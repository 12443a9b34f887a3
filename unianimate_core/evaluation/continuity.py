"""Seams and drift of a long video made of segments.

A seam is the boundary of two segments. A jump larger than the ordinary change from frame to frame looks like a cut.
Drift is the slow departure of the colors from the reference image, from segment to segment.
Frames are read one at a time, so memory does not grow with the length.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Seam:
    """jump: the mean change at the seams over the ordinary change, 1 if seamless; worst: the largest over it."""

    jump: float
    worst: float


@dataclass(frozen=True)
class Drift:
    """Distance of the color statistics to the reference's, in 8-bit steps.

    start, end: means over the first and the last segment. a_segment: growth per segment, by least squares.
    """

    start: float
    end: float
    a_segment: float


def frame_changes(frames: Iterable[np.ndarray]) -> np.ndarray:
    """Mean absolute difference of each frame from the previous, in 8-bit steps. frames: uint8 h w 3; result: f-1."""
    changes, before = [], None
    for frame in frames:
        current = frame.astype(np.int16)
        if before is not None:
            changes.append(float(np.abs(current - before).mean()))
        before = current
    return np.array(changes)


def seam_jump(changes: np.ndarray, segments: Sequence[range]) -> Seam:
    """The change at the seams, relative to the median of all other changes.

    changes: see frame_changes. segments: the frames that each segment adds, see long_video.chain.new_frames. A seam
    lies before the first frame of every segment after the first.
    Raises ValueError if there is no seam, or no other change to compare with.
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
    """Mean absolute difference of neighboring pixels of each frame, in 8-bit steps. Blur lowers it. Result: f."""
    return np.array(
        [float(np.mean([np.abs(np.diff(f.astype(np.int16), axis=axis)).mean() for axis in (0, 1)])) for f in frames]
    )


def color_distances(frames: Iterable[np.ndarray], reference: np.ndarray) -> np.ndarray:
    """Root mean square difference of each frame's color statistics from the reference's. Result: f, 8-bit steps.

    Motion changes them a little. Growth from segment to segment is drift.
    """
    aim = color_statistics(reference)
    return np.array([float(np.sqrt(np.mean((color_statistics(frame) - aim) ** 2))) for frame in frames])


def drift(distances: np.ndarray, segments: Sequence[range]) -> Drift:
    """Growth of the distance to the reference. distances: see color_distances; segments: see seam_jump."""
    means = np.array([distances[frames.start : frames.stop].mean() for frames in segments])
    slope = float(np.polyfit(np.arange(len(means)), means, 1)[0]) if len(means) > 1 else 0.0
    return Drift(float(means[0]), float(means[-1]), slope)
