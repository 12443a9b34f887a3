"""The driving poses of a clip of any length, drawn a few frames at a time, so that long videos cost no memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from .media.images import check_images, fit_images, read_images
from .pose import Pose, draw_poses
from .storage.content_hash import content_hash

FRAMES_AT_ONCE = 16
TRAINED_AREA = 512 * 768

DrawPoses = Callable[[Sequence[Pose]], Tensor]


class DrivingPoses(Protocol):
    """Driving poses by frame numbers."""

    def __len__(self) -> int: ...

    def images(self, frames: range) -> Tensor:
        """Drawn poses, f H W 3 in [0, 1]. Raises ValueError if a pose is no image."""
        ...

    def hash(self, frames: range) -> str:
        """Of what `images` returns."""
        ...


class DrawnPoses:
    """Poses that are images already. poses: f H W C in [0, 1]."""

    def __init__(self, poses: Tensor):
        self.poses = poses

    def __len__(self) -> int:
        return len(self.poses)

    def images(self, frames: range) -> Tensor:
        return check_images("poses", self.poses[frames.start : frames.stop])

    def hash(self, frames: range) -> str:
        return content_hash(self.images(frames))


class KeypointPoses:
    """Poses that are drawn when they are needed. draw: some poses to f H W 3 in [0, 1]."""

    def __init__(self, poses: Sequence[Pose], draw: DrawPoses):
        self.poses = poses
        self.draw = draw

    def __len__(self) -> int:
        return len(self.poses)

    def images(self, frames: range) -> Tensor:
        return self.draw(self.poses[frames.start : frames.stop])

    def hash(self, frames: range) -> str:
        # In 8 bits: a detector that runs again may differ in digits that no image shows.
        pieces = pieces_of(frames, FRAMES_AT_ONCE)
        return content_hash([content_hash((255 * self.images(piece)).round().byte()) for piece in pieces])


class FittedPoses:
    """Some frames of driving poses at a clip's size, made a few at a time. shape: f 3 H W."""

    def __init__(self, poses: DrivingPoses, frames: range, width: int, height: int, fit: str):
        self.poses = poses
        self.frames = frames
        self.size = (width, height, fit)
        self.shape = torch.Size([len(frames), 3, height, width])

    def __len__(self) -> int:
        return len(self.frames)

    def split(self, count: int) -> Iterator[Tensor]:
        """At most `count` frames at a time, f 3 H W in [0, 1]."""
        for piece in pieces_of(self.frames, count):
            yield fit_images(self.poses.images(piece), *self.size)

    def whole(self) -> Tensor:
        """All frames, f 3 H W in [0, 1]."""
        return torch.cat(list(self.split(FRAMES_AT_ONCE)))


def pieces_of(frames: range, count: int) -> list[range]:
    return [frames[start : start + count] for start in range(0, len(frames), count)]


def read_poses(name: str, poses: Any, width: int, height: int) -> DrivingPoses:
    """Poses (one, or a sequence) or drawn images (see read_images) as driving poses.

    width, height: of the reference image, on whose canvas the poses are. Raises ValueError if there are none.
    """
    if isinstance(poses, Pose):
        poses = [poses]
    if isinstance(poses, Sequence) and not isinstance(poses, (str, bytes)):
        if not len(poses):
            raise ValueError(f"{name} has 0 frames: give at least one pose")
        if not all(isinstance(pose, Pose) for pose in poses):
            kinds = ", ".join(sorted({type(pose).__name__ for pose in poses}))
            raise ValueError(f"{name} is a sequence of {kinds}: give Pose objects, or drawn poses as uint8 f H W 3")
        return KeypointPoses(poses, lambda some: draw_on_canvas(some, width, height))
    return DrawnPoses(read_images(name, poses))


def draw_on_canvas(poses: Sequence[Pose], width: int, height: int) -> Tensor:
    """Poses drawn as in training on a canvas of this shape, of the trained area at most: f H W 3 in [0, 1]."""
    scale = min(1.0, (TRAINED_AREA / (width * height)) ** 0.5)
    drawn = draw_poses(poses, max(1, round(height * scale)), max(1, round(width * scale)))
    return torch.from_numpy(np.ascontiguousarray(drawn)).float() / 255
