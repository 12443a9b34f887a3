"""The driving poses of a long video: images, or key points that are drawn when their segment's turn comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from ...unianimate_core.pose import Pose, choose_people
from ...unianimate_core.storage.content_hash import content_hash
from .. import images as images
from ..host_model import FRAMES_AT_ONCE
from ..pose.nodes import people_of_clip
from ..pose.options import drawing_of, drawn


class LongPoses(Protocol):
    """Driving poses by frames."""

    def __len__(self) -> int: ...

    def images(self, frames: range) -> Tensor:
        """b h w 3 in 0..1. Raises ValueError where a pose is no image."""
        ...

    def hash(self, frames: range) -> str:
        """Of what `images` shows. Raises as it does."""
        ...


class DrawnPoses:
    """An IMAGE, which ComfyUI holds in memory: 5 MB a frame."""

    def __init__(self, poses: Tensor):
        self.poses = poses

    def __len__(self) -> int:
        return len(self.poses)

    def images(self, frames: range) -> Tensor:
        return images.check_images("poses", self.poses[frames.start : frames.stop])

    def hash(self, frames: range) -> str:
        return content_hash(self.images(frames))


class KeypointPoses:
    """Key points on a canvas of the given width and height, drawn as their frames ask for, or as trained."""

    def __init__(self, poses: Sequence[Pose], size: tuple[int, int], drawing: dict[str, Any]):
        self.poses = poses
        self.size = size
        self.drawing = drawing

    def __len__(self) -> int:
        return len(self.poses)

    def images(self, frames: range) -> Tensor:
        return drawn(self.poses[frames.start : frames.stop], *self.size, self.drawing, bar=False)

    def hash(self, frames: range) -> str:
        # Of the images in 8 bits: a detector that runs again may differ in digits that no image shows.
        pieces = pieces_of(frames, FRAMES_AT_ONCE)
        return content_hash([content_hash((255 * self.images(piece)).round().byte()) for piece in pieces])


class FittedPoses:
    """The poses of some frames in a clip's size, made a few at a time: what ClipInputs takes in place of a tensor.

    shape: f 3 H W.
    """

    def __init__(self, poses: LongPoses, frames: range, width: int, height: int, fit: str):
        self.poses = poses
        self.frames = frames
        self.size = (width, height, fit)
        self.shape = torch.Size([len(frames), 3, height, width])

    def __len__(self) -> int:
        return len(self.frames)

    def split(self, count: int) -> Iterator[Tensor]:
        """At most `count` at once, f 3 H W in 0..1."""
        for piece in pieces_of(self.frames, count):
            yield images.fit_images(self.poses.images(piece), *self.size)


def pieces_of(frames: range, count: int) -> list[range]:
    return [frames[start : start + count] for start in range(0, len(frames), count)]


def long_poses(poses: Tensor | list | None) -> LongPoses:
    """Poses of an IMAGE or of key points. Raises ValueError where there are none."""
    if poses is None:
        raise ValueError("poses is empty: the node before gave none, connect drawn poses or key points")
    if isinstance(poses, Tensor):
        return DrawnPoses(poses)
    people = people_of_clip("poses", poses)
    size = (poses[0]["canvas_width"], poses[0]["canvas_height"])
    # A missing person is drawn as nobody: Pose Align, which fills gaps, has been asked about them before.
    one_person = choose_people(people, "tracked", aspect=size[0] / size[1])
    return KeypointPoses(one_person, size, drawing_of(poses))
