"""Pairs the videos of two folders by name, and reads them clip by clip.

A video is a file, or a folder of images in the order of their names.
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
    """A result and the true video. name: without the suffix of the file."""

    name: str
    result: Path
    truth: Path


@dataclass(frozen=True)
class Extent:
    """width, height: pixels; frames: 0 if the file does not state it."""

    width: int
    height: int
    frames: int


def pair_videos(results: Path, truth: Path) -> list[VideoPair]:
    """The videos of two folders, or two single videos, in the order of their names.

    Raises FileNotFoundError if a folder is absent, ValueError if it is empty or a video has no partner.
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
    """Raises ValueError if the two differ in length or, unless both are resized, in size.

    Quick: reads only the beginnings of the files. read_clips checks again what a file does not state.
    """
    result, truth = extent(pair.result), extent(pair.truth)
    if size is None:
        _check_size(pair.name, 0, (result.height, result.width), (truth.height, truth.width))
    if result.frames and truth.frames and result.frames != truth.frames:
        raise ValueError(_other_length(pair.name, result.frames, truth.frames))


def read_clips(pair: VideoPair, size: tuple[int, int] | None, frames: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields (result, truth) of consecutive frames, each f 3 h w in [0, 1], fp32. The last clip may be shorter.

    size: (width, height) to resize both to, bilinear with antialiasing; None keeps their size.
    Raises ValueError if the two differ in length or size, or cannot be read.
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
            raise ValueError(f"frame {frame} of {pair.name} differs in size from frame 0: give all frames the same")
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
    """Size and length, read from the beginning of the file. Raises as video_info does."""
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
    """The videos of a folder, by name without suffix."""
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
        hint = "put the images of each video into its own folder" if images else "give one with videos"
        raise ValueError(f"{folder} holds no videos: {hint}")
    return videos


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)


def _length(path: Path) -> int:
    return sum(1 for _ in read_video(path))


def _other_length(name: str, result: int, truth: int) -> str:
    return f"{name} has {result} frames, the true video {truth}: give both the same length"


def _check_size(name: str, frame: int, result: tuple[int, ...], truth: tuple[int, ...]) -> None:
    if result != truth:
        sizes = [f"{width}x{height}" for height, width in (result, truth)]
        raise ValueError(
            f"frame {frame} of {name} is {sizes[0]}, that of the true video {sizes[1]} (width x height): "
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
