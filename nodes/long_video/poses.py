"""The driving poses of a long video: images, or keypoints that are drawn when their segment's turn comes."""

from __future__ import annotations

from torch import Tensor

from ...unianimate_core.driving_poses import DrawnPoses, DrivingPoses, KeypointPoses
from ...unianimate_core.pose import choose_people
from ..pose.keypoints import people_of_clip
from ..pose.options import drawing_of, drawn


def long_poses(poses: Tensor | list | None) -> DrivingPoses:
    """Poses of an IMAGE or of POSE_KEYPOINT frames. Raises ValueError if there are none."""
    if poses is None:
        raise ValueError("poses is empty: the node before gave none, connect drawn poses or keypoints")
    if isinstance(poses, Tensor):
        return DrawnPoses(poses)
    people = people_of_clip("poses", poses)
    width, height = poses[0]["canvas_width"], poses[0]["canvas_height"]
    # A missing person is drawn as nobody: Pose Align, which fills gaps, has been asked about them before.
    one_person, drawing = choose_people(people, "tracked", aspect=width / height), drawing_of(poses)
    return KeypointPoses(one_person, lambda some: drawn(some, width, height, drawing, bar=False))
