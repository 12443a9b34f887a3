"""The driving poses of a long video: pictures, or key points that are drawn when their segment's turn comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from ..unianimate_core.content_hash import content_hash
from ..unianimate_core.pose import Pose
from . import pictures
from .pose import driving_poses
from .pose_options import defaults, drawing_inputs, drawn, person_inputs


class LongPoses(Protocol):
    """Driving poses by frames."""

    def __len__(self) -> int: ...

    def pictures(self, frames: range) -> Tensor:
        """b h w 3 in 0..1. Raises ValueError where a pose is no picture."""
        ...

    def hash(self, frames: range) -> str:
        """Of what `pictures` shows. Raises as it does."""
        ...


class DrawnPoses:
    """An IMAGE, which ComfyUI holds in memory: 5 MB a frame."""

    def __init__(self, poses: Tensor):
        self.poses = poses

    def __len__(self) -> int:
        return len(self.poses)

    def pictures(self, frames: range) -> Tensor:
        return pictures.check_pictures("poses", self.poses[frames.start : frames.stop])

    def hash(self, frames: range) -> str:
        return content_hash(self.pictures(frames))


class KeypointPoses:
    """Key points on a canvas of the given width and height, drawn as the network was trained with."""

    def __init__(self, poses: Sequence[Pose], size: tuple[int, int]):
        self.poses = poses
        self.size = size

    def __len__(self) -> int:
        return len(self.poses)

    def pictures(self, frames: range) -> Tensor:
        return drawn(self.poses[frames.start : frames.stop], *self.size, defaults(drawing_inputs()), bar=False)

    def hash(self, frames: range) -> str:
        return content_hash(self.size, self.poses[frames.start : frames.stop])


def long_poses(poses: Tensor | list | None, fps: float) -> LongPoses:
    """Poses of an IMAGE or of key points. Raises ValueError where there are none."""
    if poses is None:
        raise ValueError("poses is empty: the node before gave none, connect drawn poses or key points")
    if isinstance(poses, Tensor):
        return DrawnPoses(poses)
    one_person, size, _ = driving_poses(poses, defaults(person_inputs()), fps, name="poses")
    return KeypointPoses(one_person, size)
