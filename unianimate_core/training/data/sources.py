"""Sources of training data: people drawn for it, or a folder of videos with keypoints beside them."""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from ...drawn_world.world import Split
from ...media.video import VIDEO_SUFFIXES, read_frames
from ...pose import Pose, PoseError, choose_people, read_keypoints
from ...pose.formats.json_file import people_by_frame
from ...pose.opencv import cv2
from ...storage.content_hash import content_hash
from ..settings import TrainingError

MAX_FRAMES = 128  # per sequence; longer videos are cut
_END = 2**20  # bytes at each end of a video that identify it


@dataclass(frozen=True)
class RawSequence:
    """images: n of uint8 H W 3, RGB. poses: n, as fractions of the same image."""

    images: list[np.ndarray]
    poses: list[Pose]


class Source(Protocol):
    """Sequences by number, each with a name. key(i): a hash of everything that decides what read(i) returns.

    stills: number of images at the beginning of each sequence that belong to no motion.
    """

    stills: ClassVar[int]

    @property
    def names(self) -> list[str]: ...
    def key(self, index: int) -> str: ...
    def read(self, index: int) -> RawSequence: ...
    def description(self) -> dict[str, Any]:
        """What a run records of its data, so that it does not continue on other data."""
        ...


@dataclass(frozen=True)
class DrawnPeople:
    """Drawn characters. The first image of each sequence is a still of the character, the others are a motion.

    count: number of characters, which may grow when a run continues. frames: of each motion. height, width: pixels.
    world: a WorldSettings.
    """

    count: int
    frames: int
    height: int
    width: int
    split: Split
    world: Any
    stills: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise TrainingError(f"{self.count} characters are too few: give at least 1")

    @property
    def names(self) -> list[str]:
        return [f"character {index} of {self.split}" for index in range(self.count)]

    def key(self, index: int) -> str:
        return content_hash("drawn", self.description(), self.height, self.width, index)

    def read(self, index: int) -> RawSequence:
        from ...drawn_world.characters import draw_clip

        clip = draw_clip(index, self.frames, self.height, self.width, split=self.split, world=self.world)
        return RawSequence([clip.reference, *clip.frames], [clip.reference_pose, *clip.poses])

    def description(self) -> dict[str, Any]:
        return {
            "kind": "drawn people",
            "frames": self.frames,
            "split": self.split,
            "world": asdict(self.world),
        }


@dataclass(frozen=True)
class _Piece:
    """Frames start to stop of a video of `total` frames. content: a hash of the video and its keypoints."""

    video: Path
    keypoints: Path
    content: str
    start: int
    stop: int
    total: int


class VideoFolder:
    """Videos with a JSON of keypoints beside each: dance.mp4 and dance.json, one entry for each frame.

    Images are scaled to cover height x width and cropped around their center, and poses with them. Each video shows
    its tracked person. min_frames: of each sequence. excluded: a folder whose videos are skipped, such as the one that
    validation writes to. max_sequences: a limit; the sequences then come from as many videos as possible.
    Raises TrainingError if there is no video, or one without keypoints.
    """

    stills: ClassVar[int] = 0

    def __init__(
        self,
        folder: str | os.PathLike,
        height: int,
        width: int,
        min_frames: int,
        *,
        excluded: str | os.PathLike | None = None,
        max_sequences: int | None = None,
    ):
        self.folder, self.height, self.width = Path(folder), height, width
        self.min_frames, self.max_sequences = min_frames, max_sequences
        if not self.folder.is_dir():
            raise TrainingError(f"there is no folder {folder}: give one with videos and keypoints beside them")
        self.videos = _videos(self.folder, None if excluded is None else Path(excluded))
        if not self.videos:
            raise TrainingError(
                f"{folder} holds no video ({', '.join(sorted(VIDEO_SUFFIXES))}): put videos there, and beside each "
                "its keypoints as JSON, as the node UniAnimateSaveKeypoints writes them"
            )
        without = [path.name for path in self.videos if not path.with_suffix(".json").is_file()]
        if without:
            raise TrainingError(
                f"{len(without)} of {len(self.videos)} videos have no keypoints ({', '.join(without[:3])}): "
                "save them beside each as JSON of the same name"
            )

    @cached_property
    def pieces(self) -> list[_Piece]:
        """Every video in pieces of about MAX_FRAMES at most, none below min_frames, counted by its keypoints."""
        pieces = [piece for video in self.videos for piece in self._pieces_of(video)]
        if self.max_sequences is None:
            return pieces
        return sorted(pieces, key=lambda piece: piece.start)[: self.max_sequences]

    def _pieces_of(self, video: Path) -> list[_Piece]:
        keypoints = video.with_suffix(".json")
        try:
            total = len(read_keypoints(keypoints))
        except PoseError as error:
            raise TrainingError(str(error)) from error
        if total < self.min_frames:
            raise TrainingError(
                f"{video.name} has keypoints for {total} frames, a clip needs {self.min_frames}: "
                "remove it, or train with shorter clips"
            )
        content = _content_hash(video, keypoints)
        count = min(-(-total // MAX_FRAMES), total // self.min_frames)
        ends = [round(total * part / count) for part in range(count + 1)]
        return [_Piece(video, keypoints, content, *both, total) for both in pairwise(ends)]

    @property
    def names(self) -> list[str]:
        return [piece.video.name + (f" from frame {piece.start}" if piece.start else "") for piece in self.pieces]

    def key(self, index: int) -> str:
        piece = self.pieces[index]
        return content_hash("video", piece.video.name, piece.content, piece.start, piece.stop, self.height, self.width)

    def read(self, index: int) -> RawSequence:
        """Raises TrainingError if the video is not readable, shows nobody, or has other frames than its keypoints."""
        piece = self.pieces[index]
        last = piece.stop == piece.total  # reads to the end of the video, to count its frames
        images, count, size = [], 0, (1, 1)
        try:
            for count, frame in enumerate(read_frames(piece.video), start=1):
                size = frame.shape[1], frame.shape[0]
                if piece.start < count <= piece.stop:
                    images.append(cover_image(frame, self.height, self.width))
                if count == piece.stop and not last:
                    break
        except ValueError as error:
            raise TrainingError(str(error)) from error
        if count != (piece.total if last else piece.stop):
            raise TrainingError(
                f"{piece.video.name} has {count} frames, {piece.keypoints.name} {piece.total}: "
                "find the poses of this video again, in every frame"
            )
        people = people_by_frame(read_keypoints(piece.keypoints))
        poses = choose_people(people, aspect=size[0] / size[1])[piece.start : piece.stop]
        if all(pose.is_empty for pose in poses):
            raise TrainingError(
                f"nobody was found in the {len(poses)} frames of {self.names[index]}: remove the video, cut it, or "
                "find its poses again"
            )
        return RawSequence(images, [cover_pose(pose, size, (self.width, self.height)) for pose in poses])

    def description(self) -> dict[str, Any]:
        """Names and contents, but not the folder's path, so that the folder may move."""
        keys = [self.key(index) for index in range(len(self.pieces))]
        return {"kind": "videos", "count": len(self.videos), "content": content_hash(keys)}


def _videos(folder: Path, excluded: Path | None) -> list[Path]:
    """Sorted, without hidden files: macOS leaves ._dance.mp4 beside dance.mp4 on disks of other systems."""
    excluded = None if excluded is None else excluded.resolve()
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in VIDEO_SUFFIXES
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and (excluded is None or not path.resolve().is_relative_to(excluded))
    )


def _content_hash(video: Path, keypoints: Path) -> str:
    """The same for copies. Size and both ends identify a video; keypoints may be edited anywhere."""
    size = video.stat().st_size
    with video.open("rb") as file:
        first = file.read(_END)
        file.seek(max(size - _END, 0))
        ends = hashlib.sha256(first + file.read(_END))
    return content_hash(size, ends.hexdigest(), hashlib.sha256(keypoints.read_bytes()).hexdigest())


def cover_image(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The image scaled to cover height x width and cropped around its center. uint8 h w 3."""
    scale = max(height / image.shape[0], width / image.shape[1])
    scaled_height, scaled_width = (max(round(side * scale), least) for side, least in _sides(image, height, width))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(image, (scaled_width, scaled_height), interpolation=method)
    top, left = (scaled_height - height) // 2, (scaled_width - width) // 2
    return np.ascontiguousarray(scaled[top : top + height, left : left + width])


def _sides(image: np.ndarray, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    return (image.shape[0], height), (image.shape[1], width)


def cover_pose(pose: Pose, size: tuple[int, int], new_size: tuple[int, int]) -> Pose:
    """The pose as fractions of the image that cover_image returns. size, new_size: width and height."""
    scale = max(new_size[0] / size[0], new_size[1] / size[1])
    factors = np.array([size[0] * scale / new_size[0], size[1] * scale / new_size[1]])
    return pose.moved(lambda points: 0.5 + (points - 0.5) * factors)
