"""Nodes that find, align and draw poses."""

from __future__ import annotations

from itertools import islice
from typing import Literal

import torch
from comfy_api.latest import io
from torch import Tensor

from ...unianimate_core.media import images
from ...unianimate_core.pose import (
    Pose,
    align_poses,
    choose_frames,
    choose_people,
    frames_of_people,
    frames_outside,
    onto_canvas,
    people_by_frame,
)
from .. import model_files
from ..messages import say
from ..model_files import DETECTOR, KEYPOINT_NETWORK
from .detector import detector_inputs, open_detector
from .options import clean, draw_input, drawing_inputs, drawn, person_inputs, with_drawing
from .source import bgr_of_images, frames_of_source, watched

Choice = Literal["tracked", "score", "largest", "center"]
PoseKeypoints = io.Custom("POSE_KEYPOINT")


class DWPoseExtract(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="DWPoseExtract",
            display_name="DWPose Extract",
            category="UniAnimate",
            description="Finds the key points of one person in images or a video, and draws them.",
            search_aliases=["dwpose", "openpose", "pose detection", "unianimate"],
            inputs=[
                io.MultiType.Input(
                    "source", [io.Image, io.Video], tooltip="Images, or a video, which is read frame by frame."
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
                io.Int.Input("start", default=0, min=0, max=1000000, tooltip="Frames left out at the beginning."),
                io.Int.Input("count", default=0, min=0, max=1000000, tooltip="At most so many frames; 0 takes all."),
                draw_input(),
                *drawing_inputs(),
            ],
            outputs=[
                PoseKeypoints.Output(display_name="keypoints", tooltip="One person a frame, for PoseAlign or a file."),
                io.Image.Output(display_name="poses", tooltip="Of the shape of the source."),
                io.Float.Output(display_name="fps", tooltip="The video's frames a second; 30 for images."),
                io.String.Output(display_name="report", tooltip="What was missing, and which frames are in doubt."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, detector: str | None = None, keypoint_network: str | None = None) -> bool | str:
        return model_files.all_there((detector, DETECTOR), (keypoint_network, KEYPOINT_NETWORK))

    @classmethod
    def execute(
        cls, source, detector, keypoint_network, device, detect_every, start, count, draw, **options
    ) -> io.NodeOutput:
        frames, total, width, height, fps = frames_of_source(source)
        networks = open_detector(detector, keypoint_network, device)
        tell_device(cls.hidden.unique_id, networks.device)
        wanted = islice(frames, start, start + count if count else None)
        people = list(networks.iter_poses(watched(wanted, count or total - start), detect_every=detect_every))
        if not people:
            raise ValueError(f"source has no frames from frame {start} on: choose another part of it")
        if not any(people):
            raise ValueError(
                f"nobody was found in the {len(people)} frames of source ({width}x{height}): use one with a person"
            )
        poses, report = clean(people, options, width / height, fps)
        keypoints = with_drawing(frames_of_people([[pose] for pose in poses], width, height), options)
        images_of_poses = drawn(poses if draw else poses[:1], width, height, options)
        return io.NodeOutput(keypoints, images_of_poses, fps, report.text(doubtful=0.1))


def tell_device(node_id: str | None, device: str) -> None:
    """Say where the networks run, and how they could run faster."""
    if "cpu" in device and torch.cuda.is_available():
        say(
            node_id,
            "DWPose runs on the CPU, which is slow: install onnxruntime-gpu in place of onnxruntime (see the log)",
        )
    else:
        say(node_id, f"DWPose runs on {device}", level="info")


class PoseAlign(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PoseAlign",
            display_name="Pose Align",
            category="UniAnimate",
            description="Gives driving poses the size, proportions and place of the person in the reference image.",
            search_aliases=["retarget", "pose align", "unianimate"],
            inputs=[
                io.MultiType.Input(
                    "reference", [io.Image, PoseKeypoints], tooltip="The reference image, or its key points."
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
                draw_input(),
                *drawing_inputs(),
                *detector_inputs(),
            ],
            outputs=[
                io.Image.Output(display_name="poses", tooltip="The aligned poses, of the shape of the reference."),
                io.Image.Output(display_name="reference_pose", tooltip="The reference's own pose."),
                PoseKeypoints.Output(display_name="keypoints", tooltip="The aligned key points, for long videos."),
                io.Float.Output(display_name="fps", tooltip="At which the chosen frames show the motion's own speed."),
                io.String.Output(display_name="report", tooltip="What was missing, and which frames leave the image."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, detector: str | None = None, keypoint_network: str | None = None) -> bool | str:
        return True  # needed only for an image; then their absence is told when the node runs

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
        draw,
        detector,
        keypoint_network,
        device,
        **options,
    ) -> io.NodeOutput:
        poses, driving_size, report = driving_poses(driving, options, source_fps)
        frames, fps = choose_frames(
            len(poses), source_fps, start=start, target_fps=target_fps, interval=interval, count=count
        )
        poses = [poses[frame] for frame in frames]
        target, size = reference_pose(reference, options["person"], detector, keypoint_network, device)
        if mode == "none":
            aligned = onto_canvas(poses, driving_size, size)
        else:
            aligned = align_poses(
                target, poses, mode, scale_from=scale_from, reference_size=size, driving_size=driving_size
            )
        if outside := frames_outside(aligned):
            report += f"\n{len(outside)} of {len(aligned)} frames leave the image, first frame {outside[0]}"
            say(cls.hidden.unique_id, report.splitlines()[-1])
        keypoints = with_drawing(frames_of_people([[pose] for pose in aligned], *size), options)
        poses_drawn = drawn(aligned if draw else aligned[:1], *size, options)
        return io.NodeOutput(poses_drawn, drawn([target], *size, options), keypoints, fps, report)


def driving_poses(driving: list, options: dict, fps: float) -> tuple[list[Pose], tuple[int, int], str]:
    """One person's poses, their canvas, and what was done. Raises ValueError for what is no clip of anybody."""
    people = people_of_clip("driving", driving)
    size = (driving[0]["canvas_width"], driving[0]["canvas_height"])
    poses, report = clean(people, options, size[0] / size[1], fps)
    return poses, size, report.text(doubtful=0.1)


def people_of_clip(name: str, frames: list) -> list[list[Pose]]:
    """The people of each POSE_KEYPOINT frame. Raises ValueError where there is no frame, or nobody in any."""
    people = people_by_frame(frames)
    if not people:
        raise ValueError(f"{name} has 0 frames: connect key points of at least one")
    if not any(people):
        raise ValueError(f"{name} shows nobody in its {len(people)} frames: use key points of a person")
    return people


def reference_pose(
    reference: Tensor | list, person: Choice, detector: str, keypoint_network: str, device: str
) -> tuple[Pose, tuple[int, int]]:
    """The pose of the reference's person and the size of its canvas, from an image or from key points.

    Raises ValueError where there is nobody, and FileNotFoundError where an image needs networks that are absent.
    """
    if isinstance(reference, Tensor):
        image = images.check_images("reference", reference, single=True)
        (frame,) = bgr_of_images(image)
        people = open_detector(detector, keypoint_network, device).require_people(frame)
        size = (image.shape[2], image.shape[1])
    else:
        frames = people_by_frame(reference)
        if len(frames) != 1:
            raise ValueError(f"reference has {len(frames)} frames of key points: connect those of one image")
        (people,) = frames
        size = (reference[0]["canvas_width"], reference[0]["canvas_height"])
        if not people:
            raise ValueError(f"reference shows nobody on its canvas of {size[0]}x{size[1]}: use an image of a person")
    (pose,) = choose_people([people], person, aspect=size[0] / size[1])
    return pose, size
