"""Video files, one frame at a time, so that their length costs no memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..optional import require
from ..storage.atomic import replacing
from .sound import Sound, SoundTrack

VIDEO_SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".gif"}
"""Files of a folder with these suffixes are videos."""

_FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
_BT709 = 1  # the number of BT.709 for matrix, primaries and transfer alike, in H.264 and in FFmpeg
_LIMITED_RANGE = 1
_LARGEST_DENOMINATOR = 1001  # 30000/1001 and its kin


@dataclass(frozen=True)
class VideoInfo:
    """width, height: as shown, in pixels; fps: frames a second; frames: 0 where the file does not say."""

    width: int
    height: int
    fps: Fraction
    frames: int


class VideoWriter:
    """Takes the frames of one video; made by video_writer."""

    def __init__(self, container: Any, fps: Fraction, crf: int, sound: SoundTrack | None = None):
        self.frames = 0
        self._container = container
        self._fps = fps
        self._crf = crf
        self._sound = sound
        self._stream: Any = None

    def write(self, frame: np.ndarray) -> None:
        """frame: uint8 h w 3, RGB; width and height even, and the same for all frames."""
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(f"frame {self.frames} is {frame.dtype} {frame.shape}: give uint8 (height, width, 3)")
        height, width = frame.shape[:2]
        if self._stream is None:
            self._stream = self._add_stream(width, height)
            if self._sound is not None:
                self._sound.open(self._container)
        if (width, height) != (self._stream.width, self._stream.height):
            before = f"{self._stream.width}x{self._stream.height}"
            raise ValueError(
                f"frame {self.frames} is {width}x{height}, those before are {before}: give all frames the same size"
            )
        image = _av().VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        image = image.reformat(format="yuv420p", dst_colorspace=_BT709)
        image.pts, image.time_base = self.frames, 1 / self._fps
        self._container.mux(self._stream.encode(image))
        self.frames += 1
        if self._sound is not None:
            self._sound.write_until(self.frames / self._fps)

    def finish(self) -> None:
        """Write what the encoders still hold."""
        if self._stream is None:
            raise ValueError("the video has 0 frames: write at least one")
        self._container.mux(self._stream.encode())
        if self._sound is not None:
            self._sound.finish()

    def _add_stream(self, width: int, height: int) -> Any:
        if width % 2 or height % 2:
            raise ValueError(
                f"frames are {width}x{height} (width x height), H.264 needs even numbers: "
                f"give {width + width % 2}x{height + height % 2}"
            )
        # Without it the same frames give another file on another processor, and with AVX-512 at times on the same one.
        options = {"crf": str(self._crf), "x264-params": "cpu-independent=1"}
        stream = self._container.add_stream("libx264", rate=self._fps, options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = stream.codec_context.time_base = 1 / self._fps
        color = stream.codec_context
        color.colorspace = color.color_primaries = color.color_trc = _BT709
        color.color_range = _LIMITED_RANGE
        return stream


def check_destination(destination: str | os.PathLike) -> Path:
    """The path of a video to write. Raises ValueError for another format, OSError if its folder is not writable."""
    destination = Path(destination)
    if destination.suffix.lower() not in _FORMATS:
        raise ValueError(f"destination is {destination.name}: give a name that ends in {', '.join(_FORMATS)}")
    folder = destination.parent
    if folder.exists() and not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise OSError(f"nothing can be written in {folder}: choose another folder")
    return destination


@contextmanager
def video_writer(
    destination: str | os.PathLike,
    fps: Fraction | float,
    *,
    crf: int = 18,
    sound: Sound | str | os.PathLike | None = None,
) -> Iterator[VideoWriter]:
    """A writer of H.264 in .mp4, .mov or .mkv. The file is there when the block ends, and only if it ends well.

    fps: frames a second; crf: 0 (lossless) to 51, 18 looks like the original. sound: a file whose sound is added.
    """
    destination = check_destination(destination)
    rate = Fraction(fps).limit_denominator(_LARGEST_DENOMINATOR)
    if rate <= 0:
        raise ValueError(f"fps is {fps}: give more than 0")
    if not 0 <= crf <= 51:
        raise ValueError(f"crf is {crf}: give 0 to 51, 18 looks like the original")
    file_format = _FORMATS[destination.suffix.lower()]
    options = {} if file_format == "matroska" else {"movflags": "+faststart"}  # players may start before the end
    with (
        replacing(destination) as path,
        _one_sentence(destination),
        _av().open(str(path), "w", format=file_format, options=options) as container,
        nullcontext() if sound is None else SoundTrack(sound) as track,
    ):
        writer = VideoWriter(container, rate, crf, track)
        yield writer
        writer.finish()


@contextmanager
def _one_sentence(destination: Path) -> Iterator[None]:
    """Turns PyAV's errors of a file that cannot be written into an OSError of one sentence."""
    try:
        yield
    except _av().error.FFmpegError as error:
        raise OSError(
            f"{destination} could not be written ({error.strerror}): make room on its disk, or choose another folder"
        ) from error


def video_info(path: str | os.PathLike) -> VideoInfo:
    """Size, speed and length of a video file. Raises FileNotFoundError, or ValueError if it is no readable video."""
    with _opened(path) as (container, stream):
        first = next(container.decode(stream), None)
        if first is None:
            raise ValueError(f"{Path(path).name} holds 0 frames: choose another file")
        height, width = _upright(first).shape[:2]
        return VideoInfo(width, height, stream.average_rate or stream.guessed_rate, stream.frames)


def read_frames(path: str | os.PathLike, *, start: float = 0.0, duration: float = 0.0) -> Iterator[np.ndarray]:
    """The frames of a video file, uint8 h w 3, RGB, upright. Raises as video_info does.

    start: seconds to skip at the beginning; duration: seconds to read, 0 for all.
    """
    with _opened(path) as (container, stream):
        for frame in container.decode(stream):
            since_start = (frame.time or 0.0) - float((stream.start_time or 0) * stream.time_base) - start
            if duration and since_start >= duration:
                return
            if since_start >= 0:
                yield _upright(frame)


def _upright(frame: Any) -> np.ndarray:
    """Phones store frames as the sensor lies, with the angle in degrees, counterclockwise, that turns them upright."""
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90)))


@contextmanager
def _opened(path: str | os.PathLike) -> Iterator[tuple[Any, Any]]:
    av, path = _av(), Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError(f"{path.name} holds no video: choose a video file")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            yield container, stream
    except av.error.FFmpegError as error:
        raise ValueError(f"{path.name} cannot be read as a video ({error}): choose another file") from error


def _av() -> Any:
    return require("av", "reading and writing video", extra="video")
