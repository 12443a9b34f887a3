"""Which frames of a driving video become frames of the clip."""

from __future__ import annotations

import math

from ..keypoints import PoseError

MOST_FRAMES = 100_000
"""More than an hour at 24 frames a second; as many as a file of key points may have."""
SLOWEST, FASTEST = 0.001, 100_000  # frames a second


def choose_frames(
    total: int, source_fps: float, *, start: int = 0, target_fps: float = 0.0, interval: int = 1, count: int = 0
) -> tuple[list[int], float]:
    """(numbers of the chosen frames, frames a second at which they show the motion at its own speed).

    start: frames left out at the beginning. target_fps: the nearest frames at that rate, some twice where it is above
    source_fps; 0 takes each. interval: then every interval-th. count: then at most so many; 0 takes all.
    Raises PoseError, in one sentence, where nothing is left or a setting cannot be.
    """
    if not (SLOWEST <= source_fps <= FASTEST and (target_fps == 0 or SLOWEST <= target_fps <= FASTEST)):
        raise PoseError(
            f"source_fps is {source_fps:g}, target_fps {target_fps:g}: give {SLOWEST:g} to {FASTEST:,} frames a second "
            "(target: 0 keeps the source's)"
        )
    if interval < 1 or count < 0:
        raise PoseError(f"interval is {interval}, count {count}: give an interval of 1 or more, a count of 0 or more")
    if not 0 <= start < total:
        raise PoseError(f"start is frame {start}, there are {total} frames: start before the last")
    fps = target_fps or source_fps
    length = (total - start) * fps / source_fps
    chosen = math.ceil(length / interval)
    if min(chosen, count or chosen) > MOST_FRAMES:
        raise PoseError(
            f"{total - start} frames at {source_fps:g} frames a second become {chosen:,} at {fps:g}: the limit is "
            f"{MOST_FRAMES:,}, check source_fps and target_fps or give a count"
        )
    last = min(max(1, round(min(length, MOST_FRAMES * interval))), (count or MOST_FRAMES) * interval)
    frames = [min(start + int(step * source_fps / fps + 0.5), total - 1) for step in range(0, last, interval)]
    return frames, fps / interval
