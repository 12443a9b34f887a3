"""The sound of one file, re-encoded into a video that is being written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..optional import require

BIT_RATE = 192_000


@dataclass(frozen=True)
class Sound:
    """A video or audio file whose sound is used from `start`, in seconds, on."""

    path: str | os.PathLike
    start: float = 0.0


def has_sound(path: str | os.PathLike) -> bool:
    """Whether a video file has a sound track. Raises ValueError if the file cannot be read."""
    with _open(path) as container:
        return bool(container.streams.audio)


class SoundTrack:
    """Copies sound as AAC, a little after each video frame, so that players need not seek. A context manager.

    Raises FileNotFoundError, or ValueError if the file cannot be read or has no sound.
    """

    def __init__(self, sound: Sound | str | os.PathLike):
        self._sound = sound if isinstance(sound, Sound) else Sound(sound)

    def __enter__(self) -> SoundTrack:
        self._source = _open(self._sound.path)
        if not self._source.streams.audio:
            self._source.close()
            raise ValueError(f"{Path(self._sound.path).name} has no sound: choose another file, or leave sound out")
        self._frames = self._decoded()
        self._next = next(self._frames, None)
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()

    def open(self, container: Any) -> None:
        """Add the stream to a container, after the video's and before anything is written."""
        self._container = container
        self._stream = container.add_stream("aac", rate=self._source.streams.audio[0].rate or 44_100)
        self._stream.bit_rate = BIT_RATE

    def write_until(self, seconds: Any) -> None:
        """Write the sound that begins before this moment of the video."""
        while self._next is not None and self._next[0] < seconds:
            frame = self._next[1]
            frame.pts = None  # the encoder counts from 0
            self._container.mux(self._stream.encode(frame))
            self._next = next(self._frames, None)

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._container.mux(self._stream.encode())

    def _decoded(self) -> Iterator[tuple[float, Any]]:
        """(seconds since the start, frame) of the sound from the start on."""
        stream = self._source.streams.audio[0]
        begin = float((stream.start_time or 0) * stream.time_base) + self._sound.start
        for frame in self._source.decode(stream):
            since = (frame.time or 0.0) - begin
            if since >= 0:
                yield since, frame


def _open(path: str | os.PathLike) -> Any:
    av = require("av", "reading sound", extra="video")
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        return av.open(str(path))
    except av.error.FFmpegError as error:
        raise ValueError(f"{Path(path).name} cannot be read ({error}): choose another file") from error
