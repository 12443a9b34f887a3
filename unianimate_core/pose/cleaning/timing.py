"""Chooses the frames of a driving video that become frames of the clip."""

from __future__ import annotations

import math

from ..clip import MOST_FRAMES
from ..keypoints import PoseError

SLOWEST, FASTEST = 0.001, 100_000  # frames per second


def choose_frames(
    total: int, source_fps: float, *, start: int = 0, target_fps: float = 0.0, interval: int = 1, count: int = 0
) -> tuple[list[int], float]:
    """Numbers of the chosen frames, and the frames per second at which they keep the motion's own speed.

    start: frames skipped at the beginning. target_fps: takes the nearest frames at this rate, some of them twice if it
    is above source_fps; 0 takes every frame. interval: of these, takes every interval-th. count: of these, takes at
    most this many; 0 takes all.

    Raises PoseError if a setting is out of range, or if no frame or more than `MOST_FRAMES` remain.
    """
    if not (SLOWEST <= source_fps <= FASTEST and (target_fps == 0 or SLOWEST <= target_fps <= FASTEST)):
        raise PoseError(
            f"source_fps is {source_fps:g}, target_fps {target_fps:g}: give {SLOWEST:g} to {FASTEST:,} frames per "
            "second (target: 0 keeps the source's)"
        )
    if start < 0 or interval < 1 or count < 0:
        raise PoseError(
            f"start is {start}, interval {interval}, count {count}: give a start of 0 or more, an interval of 1 or "
            "more, a count of 0 or more"
        )
    if start >= total:
        raise PoseError(f"no frame is left after the first {start} of {total} are skipped: skip fewer")
    fps = target_fps or source_fps
    length = (total - start) * fps / source_fps
    chosen = math.ceil(length / interval)
    if min(chosen, count or chosen) > MOST_FRAMES:
        raise PoseError(
            f"{total - start} frames at {source_fps:g} frames per second become {chosen:,} at {fps:g}: the limit is "
            f"{MOST_FRAMES:,}, check source_fps and target_fps, or take fewer frames"
        )
    last = min(max(1, round(min(length, MOST_FRAMES * interval))), (count or MOST_FRAMES) * interval)
    frames = [min(start + int(step * source_fps / fps + 0.5), total - 1) for step in range(0, last, interval)]
    return frames, fps / interval
