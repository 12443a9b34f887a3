"""The main job from files to a file: find poses, align them, animate, and keep the driving video's speed and sound."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from . import mini
from .long_video.video import LongVideoSettings
from .media.image_file import read_image
from .media.images import Fit, check_size
from .media.sound import Sound, has_sound
from .media.video import check_destination, read_frames, video_info
from .model.conditions import PoseRange
from .model_files import ModelFiles
from .optional import require
from .pipeline import UniAnimatePipeline, segments_folder
from .pose import Pose, PoseDetector, choose_people, frames_of_people, people_by_frame, read_keypoints, write_keypoints
from .pose.retarget import Retargeted, RetargetOptions, retarget
from .sampling import SamplingSettings
from .storage.content_hash import content_hash

DETECT_EVERY = 2
"""People are searched in every second frame, as the node does by default."""

_PACKAGES = {  # module: (purpose, package, extra)
    "av": ("reading and writing video", "av", "video"),
    "cv2": ("reading images and drawing poses", "opencv-python-headless", "pose"),
    "onnxruntime": ("finding poses", "onnxruntime", "pose"),
    "open_clip": ("OpenCLIP", "open_clip_torch", "clip"),
}


@dataclass(frozen=True)
class AnimationJob:
    """A reference image, driving poses and an output.

    driving: a video in which poses are found, or poses: a file of keypoints in its place. reference_keypoints: a file
    with the reference person's keypoints, in place of finding them. output: .mp4, .mov or .mkv.
    sampling: None takes the pipeline's own. retarget: source_fps is set from a driving video.
    width, height: of the result; None takes 512x768, or UniAnimate-mini's size.
    sound: add the driving video's. device: of the network; pose_device: of the pose networks.
    """

    reference: Path
    output: Path
    driving: Path | None = None
    poses: Path | None = None
    reference_keypoints: Path | None = None
    files: ModelFiles = field(default_factory=ModelFiles)
    sampling: SamplingSettings | None = None
    long: LongVideoSettings = field(default_factory=LongVideoSettings)
    retarget: RetargetOptions = field(default_factory=RetargetOptions)
    width: int | None = None
    height: int | None = None
    fit: Fit = "crop"
    pose_range: PoseRange = field(default_factory=PoseRange)
    detect_every: int = DETECT_EVERY
    sound: bool = True
    overwrite: bool = False
    device: str = "auto"
    pose_device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        if (self.driving is None) == (self.poses is None):
            raise ValueError("give either a driving video or, by --poses, a file of keypoints")
        default = (mini.WIDTH, mini.HEIGHT) if self.files.mini else (512, 768)
        for name, size in zip(("width", "height"), default, strict=True):
            if getattr(self, name) is None:
                object.__setattr__(self, name, size)
        assert self.width is not None
        assert self.height is not None
        check_size(self.width, self.height)

    @property
    def detects(self) -> bool:
        """Whether poses must be found in images."""
        return self.poses is None or self.reference_keypoints is None


def animate(job: AnimationJob, *, progress: bool = True) -> Path:
    """Make the video of a job; returns its path. Repeated after a stop, it continues and makes the identical video.

    Everything that can be missing or wrong is checked before any work. Raises ValueError, FileNotFoundError (with a
    line for each missing model file), FileExistsError, ImportError or OSError, in sentences for the user.
    """
    files = check_job(job)
    image = read_image(job.reference)
    detector = None
    if job.detects:
        detector = PoseDetector(files["bbox_detector"], files["pose_estimator"], device=job.pose_device)
    pose, size = reference_pose(job, image, detector)
    retargeted = driving_poses(job, pose, size, detector, progress=progress)
    if detector is not None:
        detector.release()
    if progress:
        print(retargeted.report.splitlines()[0])
        if retargeted.outside:
            print(f"in {len(retargeted.outside)} of {len(retargeted.poses)} frames the person leaves the image")
    return load_pipeline(job, files).long_video(
        image,
        pose,
        retargeted.poses,
        job.sampling,
        output=job.output,
        fps=retargeted.fps,
        long=job.long,
        sound=sound_of(job),
        overwrite=job.overwrite,
        width=job.width,
        height=job.height,
        fit=job.fit,
        pose_range=job.pose_range,
        progress=progress,
    )


def check_job(job: AnimationJob) -> dict[str, Path]:
    """The model files of a job. Raises, before any work, for everything that is missing or in the way."""
    check_destination(job.output)
    if job.output.exists() and not job.overwrite:
        raise FileExistsError(f"{job.output} exists and is kept: choose another name, or add --overwrite")
    for path, what in (
        (job.reference, "the reference image"),
        (job.driving, "the driving video"),
        (job.poses, "the driving keypoints"),
        (job.reference_keypoints, "the reference's keypoints"),
    ):
        if path is not None and not path.is_file():
            raise FileNotFoundError(f"there is no file {path}: give {what}")
    names = [] if job.files.mini else ["unet", "vae", "clip"]
    files = job.files.found([*names, *(("bbox_detector", "pose_estimator") if job.detects else ())])
    modules = ["av", "cv2", *(["onnxruntime"] if job.detects else []), *([] if job.files.mini else ["open_clip"])]
    for module in modules:
        purpose, package, extra = _PACKAGES[module]
        require(module, purpose, package=package, extra=extra)
    return files


def reference_pose(job: AnimationJob, image: np.ndarray, detector: PoseDetector | None) -> tuple[Pose, tuple[int, int]]:
    """The pose of the reference's person, and the width and height of its canvas. Raises ValueError for nobody."""
    if job.reference_keypoints is None:
        assert detector is not None
        people, size = [detector.require_people(image[..., ::-1])], (image.shape[1], image.shape[0])
    else:
        people, size = people_of_file(job.reference_keypoints)
        if len(people) != 1:
            raise ValueError(f"{job.reference_keypoints.name} has {len(people)} frames: give that of one image")
    (pose,) = choose_people(people, job.retarget.person, aspect=size[0] / size[1])
    return pose, size


def driving_poses(
    job: AnimationJob, pose: Pose, size: tuple[int, int], detector: PoseDetector | None, *, progress: bool = True
) -> Retargeted:
    """The driving poses of a job, aligned. Raises ValueError if nobody is seen."""
    options, source = job.retarget, job.poses
    if job.driving is not None:
        assert detector is not None
        options = replace(options, source_fps=float(video_info(job.driving).fps))
        source = found_keypoints(job, detector, progress=progress)
    assert source is not None
    people, driving_size = people_of_file(source)
    return retarget(pose, size, people, driving_size, options)


def people_of_file(path: Path) -> tuple[list[list[Pose]], tuple[int, int]]:
    """Everybody in each frame of a keypoint file, and its canvas. Raises ValueError if there is nobody in any."""
    frames = read_keypoints(path)
    people = people_by_frame(frames)
    if not any(people):
        raise ValueError(f"{path.name} shows nobody in its {len(people)} frames: use keypoints of a person")
    return people, (int(frames[0]["canvas_width"]), int(frames[0]["canvas_height"]))


def found_keypoints(job: AnimationJob, detector: PoseDetector, *, progress: bool = True) -> Path:
    """The file of everybody's keypoints in the driving video, beside the segments; found once, then read again."""
    assert job.driving is not None
    driving, info = job.driving, video_info(job.driving)
    stat = os.stat(driving)
    found = content_hash(str(driving.resolve()), stat.st_size, stat.st_mtime_ns, job.detect_every)
    path = segments_folder(job.output) / f"keypoints_{found[:16]}.json"
    if path.is_file():
        return path
    frames = (frame[..., ::-1] for frame in read_frames(driving))
    counted = tqdm(frames, desc="finding poses", total=info.frames or None, unit=" frames", disable=not progress)
    people = list(
        detector.iter_poses((np.ascontiguousarray(frame) for frame in counted), detect_every=job.detect_every)
    )
    if not any(people):
        raise ValueError(
            f"nobody was found in the {len(people)} frames of {driving.name} ({info.width}x{info.height}): "
            "use a video of a person"
        )
    write_keypoints(path, frames_of_people(people, info.width, info.height))
    return path


def load_pipeline(job: AnimationJob, files: dict[str, Path]) -> UniAnimatePipeline:
    """The models of a job."""
    if job.files.mini:
        return UniAnimatePipeline.mini(device=job.device, precision=job.precision)
    models: Any = {name: files[name] for name in ("unet", "vae", "clip")}
    return UniAnimatePipeline.from_files(**models, device=job.device, precision=job.precision)


def sound_of(job: AnimationJob) -> Sound | None:
    """The driving video's sound, from the first frame that is shown on."""
    if not job.sound or job.driving is None or not has_sound(job.driving):
        return None
    return Sound(job.driving, job.retarget.skip_first_frames / float(video_info(job.driving).fps))
