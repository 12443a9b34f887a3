"""Nodes that find, align and draw poses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import comfy.model_management
import comfy.utils
import numpy as np
import torch
from comfy_api.latest import io
from torch import Tensor

from ..unianimate_core.pose import (
    GapReport,
    Pose,
    align_poses,
    choose_frames,
    choose_people,
    draw_poses,
    fill_gaps,
    frames_of_people,
    people_by_frame,
    smooth_poses,
)
from ..unianimate_core.video import read_frames, video_info
from . import model_files, pictures
from .detector import detector_inputs, open_detector
from .messages import say
from .model_files import DETECTOR, KEYPOINT_NETWORK

PoseKeypoints = io.Custom("POSE_KEYPOINT")
UNKNOWN_FPS = 30.0
TRAINED_AREA = 512 * 768


def person_inputs(fill: str) -> list[io.Input]:
    """Which person, and how holes and jitter are dealt with."""
    return [
        io.Combo.Input(
            "person",
            options=["tracked", "largest", "centre", "score"],
            default="tracked",
            tooltip="Of several people: one followed over the frames, or each frame's largest, most central, surest.",
        ),
        io.Combo.Input(
            "gaps",
            options=["interpolate", "repeat", "empty"],
            default=fill,
            tooltip="Where nobody or only parts are seen: moved straight between (if short), the last pose, nothing.",
        ),
        io.Int.Input(
            "longest_gap", default=12, min=1, max=1000, tooltip="In frames: longer gaps are not interpolated."
        ),
        io.Float.Input(
            "smoothing",
            default=0.0,
            min=0.0,
            max=1.0,
            step=0.05,
            tooltip="Against jitter. 0 leaves key points as found; try 0.3.",
        ),
    ]


def drawing_inputs() -> list[io.Input]:
    """How poses are drawn. The defaults are what the network was trained on."""
    return [
        io.Boolean.Input("hands", default=True, tooltip="Draw hands."),
        io.Boolean.Input("feet", default=True, tooltip="Draw toes."),
        io.Boolean.Input("head", default=True, tooltip="Draw nose, eyes and ears."),
        io.Boolean.Input("face", default=False, tooltip="Draw face points. UniAnimate was trained without them."),
        io.Int.Input(
            "stick_width", default=4, min=1, max=64, tooltip="Half the thickness of a bone at 512x768, in pixels."
        ),
        io.Combo.Input(
            "canvas",
            options=["trained", "own"],
            default="trained",
            tooltip="trained: drawn at 512x768, then scaled. own: at the picture's size, with strokes in proportion.",
        ),
    ]


def clean(people: Sequence[Sequence[Pose]], options: dict[str, Any], aspect: float, fps: float):
    """One person's poses out of everybody's, filled and smoothed, and what was done: (poses, GapReport)."""
    poses = choose_people(people, options["person"], aspect=aspect)
    poses, report = fill_gaps(poses, options["gaps"], longest=options["longest_gap"])
    return smooth_poses(poses, options["smoothing"], fps=fps), report


def drawn(poses: Sequence[Pose], width: int, height: int, options: dict[str, Any]) -> Tensor:
    """Poses as IMAGE, on the canvas given. With canvas "trained", at its shape but the trained area."""
    if options["canvas"] == "trained":
        scale = (TRAINED_AREA / (width * height)) ** 0.5
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
    names = ("hands", "feet", "head", "face", "stick_width", "canvas")
    frames = draw_poses(poses, height, width, **{name: options[name] for name in names})
    return torch.from_numpy(frames).float().div_(255)


def frames_of_source(source: Any) -> tuple[Iterable[np.ndarray], int, int, int, float]:
    """(frames, count, width, height, fps) of an IMAGE or a VIDEO; frames are uint8 BGR, as the networks take them.

    A video's file is read as the frames are asked for. Raises ValueError where there is nothing to read.
    """
    if isinstance(source, Tensor):
        checked = pictures.check_pictures("source", source)
        return bgr_of_pictures(checked), len(checked), checked.shape[2], checked.shape[1], UNKNOWN_FPS
    file = source.get_stream_source()
    if isinstance(file, str):
        info = video_info(file)
        start, duration = trim_window(source)
        frames = (frame[..., ::-1] for frame in read_frames(file, start=start, duration=duration))
        return frames, source.get_frame_count(), info.width, info.height, float(info.fps)
    components = source.get_components()
    checked = pictures.check_pictures("source", components.images)
    return bgr_of_pictures(checked), len(checked), checked.shape[2], checked.shape[1], float(components.frame_rate)


def bgr_of_pictures(checked: Tensor) -> Iterator[np.ndarray]:
    for picture in checked:
        yield picture.flip(-1).mul(255).round().byte().cpu().numpy()


def trim_window(video: Any) -> tuple[float, float]:
    """Seconds left out at a video's beginning, and seconds kept (0: all). ComfyUI 0.18 keeps both to itself."""
    if hasattr(video, "get_active_trim_window"):
        return video.get_active_trim_window()
    name = type(video).__name__
    start = getattr(video, f"_{name}__start_time", 0.0)
    if start < 0:
        start = max(0.0, float(video_info(video.get_stream_source()).frames) / float(video.get_frame_rate()) + start)
    return float(start), float(getattr(video, f"_{name}__duration", 0.0))


def watched(frames: Iterable[np.ndarray], total: int) -> Iterator[np.ndarray]:
    """The frames, with a progress bar, and an end where the user interrupts."""
    bar = comfy.utils.ProgressBar(max(1, total))
    for frame in frames:
        comfy.model_management.throw_exception_if_processing_interrupted()
        yield np.ascontiguousarray(frame)
        bar.update(1)


def told(report: GapReport, count: int) -> str:
    """What was done to a clip, in a few lines: a summary, then the doubtful frames."""
    absent, interpolated, repeated = (int(kind.sum()) for kind in (report.absent, report.interpolated, report.repeated))
    lines = [
        f"{count} frames: nobody seen in {absent}, points interpolated in {interpolated}, pose repeated in {repeated}"
    ]
    lines += [f"frame {number}: doubt {report.doubt[number]:.2f}" for number in np.flatnonzero(report.doubt > 0.5)]
    return "\n".join(lines)


class DWPoseExtract(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DWPoseExtract",
            display_name="DWPose Extract",
            category="UniAnimate",
            description="Finds the key points of one person in pictures or a video, and draws them.",
            search_aliases=["dwpose", "openpose", "pose detection", "unianimate"],
            inputs=[
                io.MultiType.Input(
                    "source", [io.Image, io.Video], tooltip="Pictures, or a video, which is read frame by frame."
                ),
                *detector_inputs(),
                *person_inputs(fill="interpolate"),
                io.Int.Input(
                    "detect_every",
                    default=1,
                    min=1,
                    max=60,
                    tooltip="Search for people in every n-th frame, follow them between. 1 is exact, 4 much faster.",
                ),
                *drawing_inputs(),
            ],
            outputs=[
                PoseKeypoints.Output(display_name="keypoints", tooltip="One person a frame, for PoseAlign or a file."),
                io.Image.Output(display_name="poses", tooltip="Drawn on the source's own canvas."),
                io.Float.Output(display_name="fps", tooltip="The video's frames a second; 30 for pictures."),
                io.String.Output(display_name="report", tooltip="What was missing, and which frames are in doubt."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, detector: str, keypoint_network: str) -> bool | str:
        for name, file in ((detector, DETECTOR), (keypoint_network, KEYPOINT_NETWORK)):
            if model_files.find(name, file) is None:
                return model_files.missing(name, file)
        return True

    @classmethod
    def execute(cls, source, detector, keypoint_network, device, detect_every, **options) -> io.NodeOutput:
        frames, count, width, height, fps = frames_of_source(source)
        networks = open_detector(detector, keypoint_network, device)
        say(cls.hidden.unique_id, f"DWPose runs on {networks.device}", level="info")
        people = list(networks.iter_poses(watched(frames, count), detect_every=detect_every))
        if not any(people):
            raise ValueError(
                f"nobody was found in the {len(people)} frames of source ({width}x{height}): use one with a person"
            )
        poses, report = clean(people, options, width / height, fps)
        keypoints = frames_of_people([[pose] for pose in poses], width, height)
        return io.NodeOutput(keypoints, drawn(poses, width, height, options), fps, told(report, len(poses)))


class PoseAlign(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PoseAlign",
            display_name="Pose Align",
            category="UniAnimate",
            description="Gives driving poses the size, proportions and place of the person in the reference picture.",
            search_aliases=["retarget", "pose align", "unianimate"],
            inputs=[
                io.MultiType.Input(
                    "reference", [io.Image, PoseKeypoints], tooltip="The reference picture, or its key points."
                ),
                PoseKeypoints.Input(
                    "driving", tooltip="From DWPose Extract, SDPose, a file, or another pre-processor."
                ),
                io.Combo.Input(
                    "mode",
                    options=["bones", "similarity", "none"],
                    default="bones",
                    tooltip="bones: each as long as the reference's. similarity: one scale and shift. none: as driven.",
                ),
                io.Combo.Input(
                    "scale_from",
                    options=["robust", "first"],
                    default="robust",
                    tooltip="robust: lengths from all believable frames. first: from frame 0, as the authors.",
                ),
                *person_inputs(fill="interpolate"),
                io.Float.Input(
                    "source_fps", default=30.0, min=0.01, max=1000.0, step=0.01, tooltip="Of the driving video."
                ),
                io.Float.Input(
                    "target_fps",
                    default=0.0,
                    min=0.0,
                    max=120.0,
                    step=0.01,
                    tooltip="Takes the nearest frames at this rate, at the motion's own speed. 0 keeps each frame.",
                ),
                io.Int.Input("interval", default=1, min=1, max=100, tooltip="Takes every n-th frame."),
                io.Int.Input("start", default=0, min=0, max=1000000, tooltip="Frames left out at the beginning."),
                io.Int.Input("count", default=0, min=0, max=1000000, tooltip="At most so many frames; 0 takes all."),
                *drawing_inputs(),
                *detector_inputs(),
            ],
            outputs=[
                io.Image.Output(display_name="poses", tooltip="The aligned poses on the reference's canvas."),
                io.Image.Output(display_name="reference_pose", tooltip="The reference's own pose."),
                PoseKeypoints.Output(display_name="keypoints", tooltip="The aligned key points."),
                io.Float.Output(display_name="fps", tooltip="At which the chosen frames show the motion's own speed."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, detector: str, keypoint_network: str) -> bool | str:
        return True  # needed only for a picture; then their absence is told when the node runs

    @classmethod
    def execute(
        cls,
        reference,
        driving,
        mode,
        scale_from,
        source_fps,
        target_fps,
        interval,
        start,
        count,
        detector,
        keypoint_network,
        device,
        **options,
    ) -> io.NodeOutput:
        if not driving:
            raise ValueError("driving has 0 frames: connect key points of at least one")
        driving_size = (driving[0]["canvas_width"], driving[0]["canvas_height"])
        poses, _ = clean(people_by_frame(driving), options, driving_size[0] / driving_size[1], source_fps)
        numbers, fps = choose_frames(
            len(poses), source_fps, start=start, target_fps=target_fps, interval=interval, count=count
        )
        target, size = reference_pose(reference, options["person"], detector, keypoint_network, device)
        aligned = align_poses(
            target,
            [poses[number] for number in numbers],
            mode,
            scale_from=scale_from,
            reference_size=size,
            driving_size=driving_size,
        )
        keypoints = frames_of_people([[pose] for pose in aligned], *size)
        return io.NodeOutput(drawn(aligned, *size, options), drawn([target], *size, options), keypoints, fps)


def reference_pose(
    reference: Tensor | list, person: str, detector: str, keypoint_network: str, device: str
) -> tuple[Pose, tuple[int, int]]:
    """The pose of the reference's person and the size of its canvas, from a picture or from key points.

    Raises ValueError where there is nobody, and FileNotFoundError where a picture needs networks that are absent.
    """
    if isinstance(reference, Tensor):
        picture = pictures.check_pictures("reference", reference, single=True)
        (frame,) = bgr_of_pictures(picture)
        people = open_detector(detector, keypoint_network, device).require_people(frame)
        size = (picture.shape[2], picture.shape[1])
    else:
        if len(reference) != 1:
            raise ValueError(f"reference has {len(reference)} frames of key points: connect those of one picture")
        (people,) = people_by_frame(reference)
        size = (reference[0]["canvas_width"], reference[0]["canvas_height"])
        if not people:
            raise ValueError(f"reference shows nobody on its canvas of {size[0]}x{size[1]}: use a picture of a person")
    (pose,) = choose_people([people], person, aspect=size[0] / size[1])
    return pose, size
