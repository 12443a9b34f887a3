"""The frames of an IMAGE or a VIDEO, as the pose networks take them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.utils
import numpy as np
from torch import Tensor

from ...unianimate_core.media.images import check_images
from ...unianimate_core.media.video import read_frames, video_info

FPS_OF_IMAGES = 30.0


@dataclass(frozen=True)
class Source:
    """frames: uint8 BGR, h w 3, read when they are asked for. count: how many, approximate for a video file."""

    frames: Iterable[np.ndarray]
    count: int
    width: int
    height: int
    fps: float


def open_source(source: Any) -> Source:
    """The frames of an IMAGE or a VIDEO. Raises ValueError if there is nothing to read."""
    if isinstance(source, Tensor):
        return _source_of_images(source, FPS_OF_IMAGES)
    file = source.get_stream_source()
    if not isinstance(file, str):
        components = source.get_components()
        return _source_of_images(components.images, float(components.frame_rate))
    info = video_info(file)
    start, duration = trim_window(source)
    frames = (frame[..., ::-1] for frame in read_frames(file, start=start, duration=duration))
    count = max(0, info.frames - round(start * info.fps))
    count = min(count, round(duration * info.fps)) if duration else count
    return Source(frames, count, info.width, info.height, float(info.fps))


def _source_of_images(given: Tensor, fps: float) -> Source:
    checked = check_images("source", given)
    count, height, width, _ = checked.shape
    return Source(bgr_of_images(checked), count, width, height, fps)


def bgr_of_images(checked: Tensor) -> Iterator[np.ndarray]:
    """uint8 BGR, h w 3, of images b h w 3 in 0..1."""
    for image in checked:
        yield image.flip(-1).mul(255).round().byte().cpu().numpy()


def trim_window(video: Any) -> tuple[float, float]:
    """(start, duration) of the part of a video's file that a VIDEO shows, in seconds; a duration of 0 is the rest.

    ComfyUI 0.18 has no method for it.
    """
    if hasattr(video, "get_active_trim_window"):
        return video.get_active_trim_window()
    name = type(video).__name__
    start = getattr(video, f"_{name}__start_time", 0.0)
    if start < 0:
        start = max(0.0, float(video_info(video.get_stream_source()).frames) / float(video.get_frame_rate()) + start)
    return float(start), float(getattr(video, f"_{name}__duration", 0.0))


def with_progress(frames: Iterable[np.ndarray], total: int) -> Iterator[np.ndarray]:
    """The frames, each counted on the node's progress bar; stops if the user interrupts."""
    bar = comfy.utils.ProgressBar(max(1, total))
    for frame in frames:
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield np.ascontiguousarray(frame)
        bar.update(1)
