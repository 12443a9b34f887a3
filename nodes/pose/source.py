"""The frames of an IMAGE or a VIDEO, as the pose networks take them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import comfy.model_management
import comfy.utils
import numpy as np
from torch import Tensor

from ...unianimate_core.media import images
from ...unianimate_core.media.video import read_frames, video_info

UNKNOWN_FPS = 30.0


def frames_of_source(source: Any) -> tuple[Iterable[np.ndarray], int, int, int, float]:
    """(frames, about how many, width, height, fps) of an IMAGE or a VIDEO; uint8 BGR, as the networks take them.

    A video's file is read as the frames are asked for. Raises ValueError where there is nothing to read.
    """
    if isinstance(source, Tensor):
        checked = images.check_images("source", source)
        return bgr_of_images(checked), len(checked), checked.shape[2], checked.shape[1], UNKNOWN_FPS
    file = source.get_stream_source()
    if isinstance(file, str):
        info = video_info(file)
        start, duration = trim_window(source)
        frames = (frame[..., ::-1] for frame in read_frames(file, start=start, duration=duration))
        count = max(0, info.frames - round(start * info.fps))
        count = min(count, round(duration * info.fps)) if duration else count
        return frames, count, info.width, info.height, float(info.fps)
    components = source.get_components()
    checked = images.check_images("source", components.images)
    return bgr_of_images(checked), len(checked), checked.shape[2], checked.shape[1], float(components.frame_rate)


def bgr_of_images(checked: Tensor) -> Iterator[np.ndarray]:
    for image in checked:
        yield image.flip(-1).mul(255).round().byte().cpu().numpy()


def trim_window(video: Any) -> tuple[float, float]:
    """Seconds left out at a video's beginning, and seconds kept (0: all). ComfyUI 0.18 keeps both to itself."""
    if hasattr(video, "get_active_trim_window"):
        return video.get_active_trim_window()
    name = type(video).__name__
    start = getattr(video, f"_{name}__start_time", 0.0)
    if start < 0:
        start = max(0.0, float(video_info(video.get_stream_source()).frames) / float(video.get_frame_rate()) + start)
    return float(start), float(getattr(video, f"_{name}__duration", 0.0))


def watched(frames: Iterable[np.ndarray], total: int) -> Iterator[np.ndarray]:
    """The frames, with a progress bar, and an end where the user interrupts."""
    bar = comfy.utils.ProgressBar(max(1, total))
    for frame in frames:
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield np.ascontiguousarray(frame)
        bar.update(1)
