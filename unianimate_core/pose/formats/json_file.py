"""Key points in JSON files: a list of POSE_KEYPOINT frames, as ComfyUI's nodes and pre-processors exchange it."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..keypoints import Pose, PoseError
from .openpose import frame_of_people, people_of_frames

MOST_FRAMES = 100_000
"""An hour at 24 frames a second; a list this long takes gigabytes."""
LARGEST_FILE = 2**31  # bytes


def read_keypoints(path: str | Path) -> list[dict[str, Any]]:
    """The frames of a JSON file, as they are there, once all of them have been found to be key points.

    Raises PoseError naming the file and the first frame that is not.
    """
    path = Path(path)
    if not path.is_file():
        raise PoseError(f"there is no file of key points at {path}: choose one that SavePoseKeypoints wrote")
    if path.stat().st_size > LARGEST_FILE:
        raise PoseError(f"{path.name} has {path.stat().st_size:,} bytes: the limit for key points is {LARGEST_FILE:,}")
    try:
        frames = parse_keypoints(path.read_bytes())
    except PoseError as error:
        raise PoseError(f"{path.name} cannot be used: {error}") from error
    return frames


def parse_keypoints(text: str | bytes) -> list[dict[str, Any]]:
    """As `read_keypoints`, from the text of the file (UTF-8, with or without a byte order mark)."""
    try:
        frames = json.loads(text.removeprefix(b"\xef\xbb\xbf") if isinstance(text, bytes) else text)
    except (ValueError, RecursionError) as error:
        raise PoseError(f"it is not JSON ({error}): save key points with SavePoseKeypoints") from error
    people_by_frame(frames)
    return frames


def people_by_frame(frames: Sequence[Mapping[str, Any]]) -> list[list[Pose]]:
    """The people of each POSE_KEYPOINT frame of a clip, see `people_of_frames`.

    Raises PoseError naming the first frame that is not one.
    """
    if not isinstance(frames, Sequence) or isinstance(frames, (str, bytes)):
        raise PoseError(f"key points are a list of frames, this is a {type(frames).__name__}: it is another format")
    if len(frames) > MOST_FRAMES:
        raise PoseError(f"there are {len(frames):,} frames of key points, the limit is {MOST_FRAMES:,}: cut the clip")
    return people_of_frames(frames)


def frames_of_people(people: Sequence[Sequence[Pose]], width: int, height: int) -> list[dict[str, Any]]:
    """The people of each frame as POSE_KEYPOINT, in pixels of a canvas of width x height."""
    return [frame_of_people(frame, width, height) for frame in people]


def write_keypoints(path: str | Path, frames: Sequence[Mapping[str, Any]]) -> None:
    """Writes POSE_KEYPOINT frames, feet included, so that the file is either complete or not there at all.

    Raises PoseError for what `read_keypoints` would not read.
    """
    people_by_frame(frames)
    text = json.dumps(frames, default=_plain, allow_nan=False, separators=(",", ":"))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _plain(value: Any) -> Any:
    """numpy's numbers and arrays, as other nodes may leave them in frames, and mappings as dicts."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise PoseError(f"a frame of key points holds a {type(value).__name__}: it cannot be written as JSON")
