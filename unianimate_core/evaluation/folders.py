"""Videos of two folders side by side: paired by name, read a clip at a time.

A video is a file, or a folder of its images in the order of their names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from ..media.images import as_images
from ..media.video import VIDEO_SUFFIXES, read_frames, video_info

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}
NAMED_AT_MOST = 3


@dataclass(frozen=True)
class VideoPair:
    """A result and the true video of the same name (without its ending)."""

    name: str
    result: Path
    truth: Path


@dataclass(frozen=True)
class Extent:
    """width, height: pixels; frames: 0 where the file does not say."""

    width: int
    height: int
    frames: int


def pair_videos(results: Path, truth: Path) -> list[VideoPair]:
    """The videos of two folders, or two single videos, in the order of their names.

    Raises FileNotFoundError or ValueError where a folder is absent or empty, or a video has no partner.
    """
    if results.is_file() and truth.is_file():
        return [VideoPair(results.stem, results, truth)]
    result_videos, true_videos = _videos(results), _videos(truth)
    for folder, missing in (
        (truth, result_videos.keys() - true_videos.keys()),
        (results, true_videos.keys() - result_videos.keys()),
    ):
        if missing:
            raise ValueError(f"{folder} has no video named {_listed(missing)}: give both folders the same names")
    return [VideoPair(name, result_videos[name], true_videos[name]) for name in sorted(true_videos)]


def check_pair(pair: VideoPair, size: tuple[int, int] | None) -> None:
    """Raises ValueError where the two differ in length or, unless both are resized, in size.

    Only beginnings are read, so it is quick; what files do not tell, read_clips finds.
    """
    result, truth = extent(pair.result), extent(pair.truth)
    if size is None:
        _check_size(pair.name, 0, (result.height, result.width), (truth.height, truth.width))
    if result.frames and truth.frames and result.frames != truth.frames:
        raise ValueError(_other_length(pair.name, result.frames, truth.frames))


def read_clips(pair: VideoPair, size: tuple[int, int] | None, frames: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(result, truth) of consecutive frames, each f 3 h w in [0, 1], float32; the last may hold fewer.

    size: (width, height) that both are resized to, bilinear with antialiasing, or None for as they are.
    Raises ValueError where the two do not fit each other or cannot be read.
    """
    both: list[tuple[np.ndarray, np.ndarray]] = []
    first_shapes = None
    for frame, (result, truth) in enumerate(zip_longest(read_video(pair.result), read_video(pair.truth))):
        if result is None or truth is None:
            raise ValueError(_other_length(pair.name, _length(pair.result), _length(pair.truth)))
        if size is None:
            _check_size(pair.name, frame, result.shape[:2], truth.shape[:2])
        first_shapes = first_shapes or (result.shape, truth.shape)
        if (result.shape, truth.shape) != first_shapes:
            raise ValueError(f"frame {frame} of {pair.name} has another size than frame 0: give all frames the same")
        both.append((result, truth))
        if len(both) == frames:
            yield _as_clips(both, size)
            both = []
    if both:
        yield _as_clips(both, size)


def read_video(path: Path) -> Iterator[np.ndarray]:
    """The frames of a video file or of a folder of images, uint8 h w 3, RGB."""
    if path.is_file():
        yield from read_frames(path)
        return
    for image in _images(path):
        yield next(read_frames(image))


def extent(path: Path) -> Extent:
    """Size and length, from the beginning alone. Raises as video_info does."""
    if path.is_file():
        info = video_info(path)
        return Extent(info.width, info.height, info.frames)
    images = _images(path)
    info = video_info(images[0])
    return Extent(info.width, info.height, len(images))


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) of "WIDTHxHEIGHT". Raises ValueError for anything else."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not match:
        raise ValueError(f"the size is {text!r}: give WIDTHxHEIGHT in pixels, such as 256x256")
    return int(match[1]), int(match[2])


def _videos(folder: Path) -> dict[str, Path]:
    """The videos of a folder by their names without ending."""
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    videos: dict[str, Path] = {}
    for path in entries:
        is_sequence = path.is_dir() and bool(_images(path))
        if not is_sequence and path.suffix.lower() not in VIDEO_SUFFIXES:
            continue
        name = path.name if is_sequence else path.stem
        if name in videos:
            raise ValueError(f"{folder} has both {videos[name].name} and {path.name}: keep one video of each name")
        videos[name] = path
    if not videos:
        images = any(path.suffix.lower() in IMAGE_SUFFIXES for path in entries)
        hint = "put the images of each video into a folder of their own" if images else "give one that has"
        raise ValueError(f"{folder} holds no videos: {hint}")
    return videos


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)


def _length(path: Path) -> int:
    return sum(1 for _ in read_video(path))


def _other_length(name: str, result: int, truth: int) -> str:
    return f"{name} has {result} frames as a result and {truth} in truth: give both the same length"


def _check_size(name: str, frame: int, result: tuple[int, ...], truth: tuple[int, ...]) -> None:
    if result != truth:
        sizes = [f"{width}x{height}" for height, width in (result, truth)]
        raise ValueError(
            f"frame {frame} of {name} is {sizes[0]} as a result and {sizes[1]} in truth (width x height): "
            "give both the same size, or use --resize"
        )


def _listed(names: Iterable[str]) -> str:
    names = sorted(names)
    more = len(names) - NAMED_AT_MOST
    return ", ".join(names[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def _as_clips(both: list[tuple[np.ndarray, np.ndarray]], size: tuple[int, int] | None) -> tuple[Tensor, Tensor]:
    results, truths = zip(*both, strict=True)
    return _as_clip(results, size), _as_clip(truths, size)


def _as_clip(frames: Iterable[np.ndarray], size: tuple[int, int] | None) -> Tensor:
    clip = as_images(np.stack(list(frames)))
    if size is None or clip.shape[-2:] == size[::-1]:
        return clip
    return F.interpolate(clip, size[::-1], mode="bilinear", antialias=True).clamp(0, 1)
