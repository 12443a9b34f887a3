"""The node that finds people and their keypoints."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, islice

from comfy_api.latest import io

from ...unianimate_core.model_files import BBOX_DETECTOR, POSE_ESTIMATOR
from ...unianimate_core.pose import Pose, PoseDetector, frames_of_people
from .. import model_files
from .detector import detector_inputs, open_detector, show_device
from .keypoints import PoseKeypoints
from .options import draw_input, drawn_people, frame_range_inputs
from .source import Source, open_source, with_progress


class DWPoseExtract(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DWPoseExtract",
            display_name="DWPose Extract",
            category="UniAnimate",
            description="Finds the keypoints of all people in images or a video and draws them.",
            search_aliases=["dwpose", "openpose", "pose detection", "pose estimation", "unianimate"],
            inputs=[
                io.MultiType.Input(
                    "source",
                    [io.Image, io.Video],
                    tooltip="Images, or a video, which is read frame by frame and so takes little memory.",
                ),
                *detector_inputs(),
                io.Int.Input(
                    "detect_every",
                    default=2,
                    min=1,
                    max=60,
                    tooltip="Search for people in every n-th frame and follow them in between; 1 is exact, 4 is faster "
                    "for slow motion.",
                ),
                *frame_range_inputs(),
                draw_input(),
            ],
            outputs=[
                PoseKeypoints.Output(
                    display_name="keypoints", tooltip="All people in each frame, the most certain first."
                ),
                io.Image.Output(display_name="poses", tooltip="All people drawn, in the shape of the source."),
                io.Float.Output(display_name="fps", tooltip="Frames per second of the video; 30 for images."),
                io.String.Output(
                    display_name="report", tooltip="How many people were found, and the frames without anybody."
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, bbox_detector: str | None = None, pose_estimator: str | None = None) -> bool | str:
        return model_files.all_there((bbox_detector, BBOX_DETECTOR), (pose_estimator, POSE_ESTIMATOR))

    @classmethod
    def execute(
        cls,
        source,
        bbox_detector: str,
        pose_estimator: str,
        device: str,
        detect_every: int,
        skip_first_frames: int,
        frame_load_cap: int,
        draw: bool,
    ) -> io.NodeOutput:
        opened = open_source(source)
        detector = open_detector(bbox_detector, pose_estimator, device)
        show_device(cls.hidden.unique_id, detector.device)
        people = find_people(opened, detector, detect_every, skip_first_frames, frame_load_cap)
        keypoints = frames_of_people(people, opened.width, opened.height)
        poses = drawn_people(people if draw else people[:1], opened.width, opened.height)
        return io.NodeOutput(keypoints, poses, opened.fps, people_report(people))


def find_people(
    source: Source, detector: PoseDetector, detect_every: int, skip_first_frames: int, frame_load_cap: int
) -> list[list[Pose]]:
    """Everybody in each frame, the most certain first. Raises ValueError if no frame is left or nobody is found."""
    stop = skip_first_frames + frame_load_cap if frame_load_cap else None
    frames = with_progress(
        islice(source.frames, skip_first_frames, stop), frame_load_cap or source.count - skip_first_frames
    )
    people = list(detector.iter_poses(frames, detect_every=detect_every))
    if not people:
        raise ValueError(f"no frame of source is left after the first {skip_first_frames} are skipped: skip fewer")
    if not any(people):
        size = f"{source.width}x{source.height}"
        raise ValueError(f"nobody was found in the {len(people)} frames of source ({size}): use one with a person")
    return people


def people_report(people: Sequence[Sequence[Pose]]) -> str:
    """How many people there are, and the frames without anybody; frame 0 is the first that was searched."""
    counts = [len(frame) for frame in people]
    least, most = min(counts), max(counts)
    each = _count(most, "person", "people") if least == most else f"{least} to {_count(most, 'person', 'people')}"
    lines = [f"{_count(len(people), 'frame', 'frames')}, {each} in each"]
    if absent := [number for number, count in enumerate(counts) if not count]:
        lines.append(f"nobody in {_count(len(absent), 'frame', 'frames')}: {_ranges(absent)}")
    if several := sum(count > 1 for count in counts):
        lines.append(f"several people in {_count(several, 'frame', 'frames')}: choose one with person in Pose Align")
    return "\n".join(lines)


def _count(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def _ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers, such as "0-3, 7"."""
    runs = [[number for _, number in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
