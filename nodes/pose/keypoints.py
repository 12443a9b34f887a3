"""Keypoints between nodes: ComfyUI's POSE_KEYPOINT."""

from __future__ import annotations

from comfy_api.latest import io

from ...unianimate_core.pose import Pose, people_by_frame

PoseKeypoints = io.Custom("POSE_KEYPOINT")


def people_of_clip(name: str, frames: list) -> list[list[Pose]]:
    """The people of each POSE_KEYPOINT frame. Raises ValueError if there is no frame, or nobody in any."""
    people = people_by_frame(frames)
    if not people:
        raise ValueError(f"{name} has 0 frames: connect keypoints of at least one")
    if not any(people):
        raise ValueError(f"{name} shows nobody in its {len(people)} frames: use keypoints of a person")
    return people
