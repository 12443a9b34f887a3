"""Small videos with the keypoints of a dancer beside them, as trainings read them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.support.poses import openpose_frame
from unianimate_core.media.video import video_writer
from unianimate_core.pose import Pose, write_keypoints

FRAMES = 5


def dancer(frame: int) -> Pose:
    body = np.full((20, 2), -1.0)
    for joint, (x, y) in {1: (0.5, 0.3), 2: (0.4, 0.3), 5: (0.6, 0.3), 8: (0.45, 0.6), 11: (0.55, 0.6)}.items():
        body[joint] = x + 0.02 * frame, y
    return replace(Pose.empty(), body=body, body_score=None)


def write_video(folder: Path, name: str, frames: int = FRAMES, keypoints: int = FRAMES) -> None:
    """A gray video of 96x64 pixels, lighter with each frame, and its keypoints."""
    with video_writer(folder / f"{name}.mp4", 8) as video:
        for frame in range(frames):
            video.write(np.full((64, 96, 3), 40 + 30 * frame, np.uint8))
    write_keypoints(folder / f"{name}.json", [openpose_frame(dancer(frame), 96, 64) for frame in range(keypoints)])
