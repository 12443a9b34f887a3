"""A node that draws a person and a motion, for a first run without any image, video or download."""

from __future__ import annotations

import comfy.model_management
import torch
from comfy_api.latest import io

from ..unianimate_core import mini
from ..unianimate_core.drawn_world.characters import draw_clip
from ..unianimate_core.drawn_world.people.motion import FPS
from ..unianimate_core.media.images import as_values
from ..unianimate_core.pose import frames_of_people, iter_drawn
from .pose.keypoints import PoseKeypoints

MOST_PIXELS = 512 * 768 * 512  # of all frames together: each of the two output videos then takes 2.4 GB


class UniAnimateDrawnPerson(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="UniAnimateDrawnPerson",
            display_name="UniAnimate Drawn Person",
            category="UniAnimate",
            description="Draws a person and a motion that UniAnimate-mini was not trained on, with the ground truth.",
            search_aliases=["unianimate", "example", "demo", "test image"],
            inputs=[
                io.Int.Input(
                    "character",
                    default=mini.CHARACTER,
                    min=0,
                    max=2**31 - 1,
                    tooltip="Each number gives another person, background and motion.",
                ),
                io.Int.Input(
                    "frames",
                    default=mini.FRAMES,
                    min=1,
                    max=4096,
                    tooltip=f"Length of the motion in frames, at {FPS} frames per second.",
                ),
                io.Int.Input(
                    "width",
                    default=mini.WIDTH,
                    min=64,
                    max=2048,
                    step=64,
                    tooltip=f"Width in pixels; {mini.WIDTH} as trained.",
                ),
                io.Int.Input(
                    "height",
                    default=mini.HEIGHT,
                    min=64,
                    max=2048,
                    step=64,
                    tooltip=f"Height in pixels; {mini.HEIGHT} as trained.",
                ),
            ],
            outputs=[
                io.Image.Output(display_name="reference_image", tooltip="The person in another pose."),
                io.Image.Output(display_name="reference_pose", tooltip="The pose of the reference image, drawn."),
                io.Image.Output(display_name="poses", tooltip="The motion, drawn as poses."),
                io.Image.Output(display_name="ground_truth", tooltip="The person in motion, to compare a result with."),
                io.Float.Output(display_name="fps", tooltip="Frames per second of the motion."),
                PoseKeypoints.Output(display_name="keypoints", tooltip="The motion as keypoints."),
            ],
        )

    @classmethod
    def execute(cls, character: int, frames: int, width: int, height: int) -> io.NodeOutput:
        if frames * width * height > MOST_PIXELS:
            most = MOST_PIXELS // (width * height)
            raise ValueError(
                f"{frames} frames of {width}x{height} take too much memory: give at most {most} of that size"
            )
        stop = comfy.model_management.throw_exception_if_processing_interrupted
        clip = draw_clip(character, frames, height, width, split="test", world=mini.WORLD, before_frame=stop)
        drawn = torch.empty(1 + frames, height, width, 3)  # the reference pose first
        for image, pose in zip(drawn, iter_drawn([clip.reference_pose, *clip.poses], height, width), strict=True):
            stop()
            image[:] = as_values(pose)
        keypoints = frames_of_people([[pose] for pose in clip.poses], width, height)
        reference, truth = as_values(clip.reference[None]), as_values(clip.frames)
        return io.NodeOutput(reference, drawn[:1], drawn[1:], truth, float(FPS), keypoints)
