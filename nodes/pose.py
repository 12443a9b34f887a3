"""Nodes that find, align and draw poses."""

from __future__ import annotations

from typing import Literal

from comfy_api.latest import io
from torch import Tensor

from ..unianimate_core.pose import (
    Pose,
    align_poses,
    choose_frames,
    choose_people,
    frames_of_people,
    people_by_frame,
)
from . import model_files, pictures
from .detector import detector_inputs, open_detector
from .messages import say
from .model_files import DETECTOR, KEYPOINT_NETWORK
from .pose_options import clean, drawing_inputs, drawn, person_inputs, told
from .pose_source import bgr_of_pictures, frames_of_source, watched

Choice = Literal["tracked", "score", "largest", "centre"]
PoseKeypoints = io.Custom("POSE_KEYPOINT")


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
                *person_inputs(),
                io.Int.Input(
                    "detect_every",
                    default=2,
                    min=1,
                    max=60,
                    tooltip="Search for people in every n-th frame, follow them between. 1 as the authors, 4 faster.",
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
                *person_inputs(),
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
    reference: Tensor | list, person: Choice, detector: str, keypoint_network: str, device: str
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
