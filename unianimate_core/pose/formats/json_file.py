"""Keypoints in JSON files: a list of POSE_KEYPOINT frames, as ComfyUI's nodes and preprocessors exchange it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...storage.atomic import replacing
from ..keypoints import PoseError
from .openpose import people_by_frame

LARGEST_FILE = 2**31  # bytes


def read_keypoints(path: str | Path) -> list[dict[str, Any]]:
    """The frames of a JSON file, unchanged, after a check that each of them is a POSE_KEYPOINT frame.

    Raises PoseError that names the file, and the first frame that is wrong.
    """
    path = Path(path)
    if not path.is_file():
        raise PoseError(f"there is no keypoint file at {path}: choose a JSON file of POSE_KEYPOINT frames")
    if path.stat().st_size > LARGEST_FILE:
        raise PoseError(f"{path.name} has {path.stat().st_size:,} bytes, the limit is {LARGEST_FILE:,}: cut the clip")
    try:
        return parse_keypoints(path.read_bytes())
    except PoseError as error:
        raise PoseError(f"{path.name} cannot be used: {error}") from error


def parse_keypoints(text: str | bytes) -> list[dict[str, Any]]:
    """The frames in the text of a JSON file: UTF-8, with or without a byte order mark. Raises PoseError."""
    try:
        frames = json.loads(text.removeprefix(b"\xef\xbb\xbf") if isinstance(text, bytes) else text)
    except (ValueError, RecursionError) as error:
        raise PoseError(f"it is not JSON ({error}): save keypoints as a list of POSE_KEYPOINT frames") from error
    people_by_frame(frames)
    return frames


def write_keypoints(path: str | Path, frames: Sequence[Mapping[str, Any]]) -> None:
    """Writes POSE_KEYPOINT frames to a JSON file that is complete or absent. An existing file is replaced.

    Raises PoseError for frames that `read_keypoints` would refuse, and NoRoom if the disk is full.
    """
    people_by_frame(frames)
    text = json.dumps(frames, default=_plain, allow_nan=False, separators=(",", ":"))
    with replacing(path) as part, part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def _plain(value: Any) -> Any:
    """The plain Python value of numpy's numbers and arrays, which other nodes may leave in frames, and of mappings."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise PoseError(f"a frame of keypoints holds a {type(value).__name__}: it cannot be written as JSON")
