"""A drawn person as files, as a user has them: a reference image, keypoints, and the true video to compare with."""

from __future__ import annotations

from pathlib import Path

from ..media.image_file import write_image
from ..media.video import video_writer
from ..pose import frames_of_people, write_keypoints
from .characters import DrawnClip
from .people.motion import FPS


def write_person(folder: Path, clip: DrawnClip) -> None:
    """Write reference.png, reference.json (its keypoints), poses.json (driving keypoints) and truth.mp4."""
    height, width = clip.reference.shape[:2]
    write_image(folder / "reference.png", clip.reference)
    write_keypoints(folder / "reference.json", frames_of_people([[clip.reference_pose]], width, height))
    write_keypoints(folder / "poses.json", frames_of_people([[pose] for pose in clip.poses], width, height))
    with video_writer(folder / "truth.mp4", FPS) as video:
        for frame in clip.frames:
            video.write(frame)
