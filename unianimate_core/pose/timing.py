"""Which frames of a driving video become frames of the clip."""

from __future__ import annotations

from .keypoints import PoseError


def choose_frames(
    total: int, source_fps: float, *, start: int = 0, target_fps: float = 0.0, interval: int = 1, count: int = 0
) -> tuple[list[int], float]:
    """(numbers of the chosen frames, frames a second at which they show the motion at its own speed).

    start: frames left out at the beginning. target_fps: the nearest frames at that rate, some twice where it is above
    source_fps; 0 takes each. interval: then every interval-th. count: then at most so many; 0 takes all.
    Raises PoseError, in one sentence, where nothing is left or a setting cannot be.
    """
    if source_fps <= 0 or target_fps < 0:
        raise PoseError(
            f"source_fps is {source_fps:g}, target_fps {target_fps:g}: give more than 0 (target: 0 keeps it)"
        )
    if interval < 1 or count < 0:
        raise PoseError(f"interval is {interval}, count {count}: give an interval of 1 or more, a count of 0 or more")
    if not 0 <= start < total:
        raise PoseError(f"start is frame {start}, there are {total} frames: start before the last")
    fps = target_fps or source_fps
    length = max(1, round((total - start) * fps / source_fps))
    frames = [min(start + int(step * source_fps / fps + 0.5), total - 1) for step in range(0, length, interval)]
    return frames[: count or None], fps / interval
