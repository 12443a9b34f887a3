"""The node that makes one person's clean poses, in the proportions of the reference, out of keypoints."""

from __future__ import annotations

from typing import get_args

from comfy_api.latest import io
from torch import Tensor

from ...unianimate_core.media.images import check_images
from ...unianimate_core.pose import Pose, choose_people, frames_of_people, people_by_frame
from ...unianimate_core.pose.retarget import Gaps, Mode, Person, Retargeted, RetargetOptions, ScaleFrom, retarget
from ..messages import say
from .detector import detector_inputs, open_detector
from .keypoints import PoseKeypoints, people_of_clip
from .options import (
    Canvas,
    DrawingOptions,
    cleaning_inputs,
    draw_input,
    drawing_inputs,
    drawn,
    frame_range_inputs,
    with_drawing,
)
from .source import bgr_of_images


class PoseAlign(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PoseAlign",
            display_name="Pose Align",
            category="UniAnimate",
            description="Takes one person's poses out of keypoints, cleans them, gives them the size, proportions and "
            "place of the person in the reference image, and draws them.",
            search_aliases=["retarget", "pose retarget", "smooth keypoints", "draw pose", "unianimate"],
            inputs=[
                io.MultiType.Input(
                    "reference", [io.Image, PoseKeypoints], tooltip="The reference image, or its keypoints."
                ),
                PoseKeypoints.Input(
                    "driving",
                    tooltip="Keypoints of the driving video, from DWPose Extract, SDPose, a file or another pack.",
                ),
                io.Combo.Input(
                    "mode",
                    options=list(get_args(Mode)),
                    default="bones",
                    tooltip="bones gives every bone the reference's length, similarity only scales and moves the whole "
                    "person, none keeps the poses as they are.",
                ),
                io.Combo.Input(
                    "scale_from",
                    options=list(get_args(ScaleFrom)),
                    default="robust",
                    tooltip="Where lengths are measured: robust uses all plausible frames, first only frame 0, as the "
                    "authors do.",
                    advanced=True,
                ),
                *cleaning_inputs(),
                *timing_inputs(),
                draw_input(),
                *drawing_inputs(),
                *detector_inputs(advanced=True),
            ],
            outputs=[
                io.Image.Output(display_name="poses", tooltip="The aligned poses, drawn in the reference's shape."),
                io.Image.Output(display_name="reference_pose", tooltip="The pose of the reference image, drawn."),
                PoseKeypoints.Output(
                    display_name="keypoints",
                    tooltip="The aligned keypoints; UniAnimate Long Video takes them in place of drawn poses.",
                ),
                io.Float.Output(
                    display_name="fps",
                    tooltip="Frames per second at which the motion has its own speed, for the video.",
                ),
                io.String.Output(
                    display_name="report", tooltip="What was missing and filled, and which frames leave the image."
                ),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def validate_inputs(cls, bbox_detector: str | None = None, pose_estimator: str | None = None) -> bool | str:
        return True  # only an image needs the networks; execute names them if they are missing

    @classmethod
    def execute(
        cls,
        reference: Tensor | list,
        driving: list,
        mode: Mode,
        scale_from: ScaleFrom,
        person: Person,
        gaps: Gaps,
        longest_gap: int,
        smoothing: float,
        source_fps: float,
        target_fps: float,
        select_every_nth: int,
        skip_first_frames: int,
        frame_load_cap: int,
        draw: bool,
        draw_hands: bool,
        draw_feet: bool,
        draw_head: bool,
        draw_face: bool,
        stick_width: int,
        canvas: Canvas,
        bbox_detector: str,
        pose_estimator: str,
        device: str,
    ) -> io.NodeOutput:
        options = RetargetOptions(
            person=person,
            gaps=gaps,
            longest_gap=longest_gap,
            smoothing=smoothing,
            source_fps=source_fps,
            target_fps=target_fps,
            skip_first_frames=skip_first_frames,
            frame_load_cap=frame_load_cap,
            select_every_nth=select_every_nth,
            mode=mode,
            scale_from=scale_from,
        )
        drawing = DrawingOptions(draw_hands, draw_feet, draw_head, draw_face, stick_width, canvas)
        people = people_of_clip("driving", driving)
        driving_size = (driving[0]["canvas_width"], driving[0]["canvas_height"])
        target, size = reference_pose(reference, person, bbox_detector, pose_estimator, device)
        aligned = retarget(target, size, people, driving_size, options)
        if outside := outside_report(aligned):
            say(cls.hidden.unique_id, outside)
        keypoints = with_drawing(frames_of_people([[pose] for pose in aligned.poses], *size), drawing)
        images = drawn(aligned.poses if draw else aligned.poses[:1], *size, drawing)
        report = "\n".join(filter(None, [aligned.report, outside]))
        return io.NodeOutput(images, drawn([target], *size, drawing), keypoints, aligned.fps, report)


def timing_inputs() -> list[io.Input]:
    """Which frames of the driving video become frames of the clip."""
    return [
        io.Float.Input(
            "source_fps",
            default=30.0,
            min=0.01,
            max=1000.0,
            step=0.01,
            tooltip="Frames per second of the driving video; connect fps of DWPose Extract.",
        ),
        io.Float.Input(
            "target_fps",
            default=0.0,
            min=0.0,
            max=120.0,
            step=0.01,
            tooltip="Frames per second of the result, at unchanged speed of the motion; 0 keeps every frame.",
        ),
        io.Int.Input(
            "select_every_nth",
            default=1,
            min=1,
            max=100,
            tooltip="Use every n-th frame; 1 uses all.",
            advanced=True,
        ),
        *frame_range_inputs(),
    ]


def reference_pose(
    reference: Tensor | list, person: Person, bbox_detector: str, pose_estimator: str, device: str
) -> tuple[Pose, tuple[int, int]]:
    """The pose of the person in the reference, and width and height of its canvas.

    reference: an image or keypoints. Raises ValueError if it shows nobody, and FileNotFoundError if an image needs
    networks that are missing.
    """
    if isinstance(reference, Tensor):
        image = check_images("reference", reference, single=True)
        (frame,) = bgr_of_images(image)
        people = open_detector(bbox_detector, pose_estimator, device).require_people(frame)
        size = (image.shape[2], image.shape[1])
    else:
        frames = people_by_frame(reference)
        if len(frames) != 1:
            raise ValueError(f"reference has {len(frames)} frames of keypoints: connect those of one image")
        (people,) = frames
        size = (reference[0]["canvas_width"], reference[0]["canvas_height"])
        if not people:
            raise ValueError(f"reference shows nobody on its canvas of {size[0]}x{size[1]}: use an image of a person")
    (pose,) = choose_people([people], person, aspect=size[0] / size[1])
    return pose, size


def outside_report(aligned: Retargeted) -> str:
    """One line on the frames that leave the image; empty if there are none."""
    outside, frames = aligned.outside, len(aligned.poses)
    return f"{len(outside)} of {frames} frames leave the image, first frame {outside[0]}" if outside else ""
