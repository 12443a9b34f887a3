"""The node that makes one person's clean poses, in the proportions of the reference, out of keypoints."""

from __future__ import annotations

from typing import Literal, get_args

from comfy_api.latest import io
from torch import Tensor

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
from ..images import check_images
from ..messages import say
from .detector import detector_inputs, open_detector
from .keypoints import PoseKeypoints, people_of_clip
from .options import (
    Canvas,
    CleaningOptions,
    DrawingOptions,
    Gaps,
    Person,
    clean,
    cleaning_inputs,
    draw_input,
    drawing_inputs,
    drawn,
    frame_range_inputs,
    with_drawing,
)
from .source import bgr_of_images

Mode = Literal["bones", "similarity", "none"]
ScaleFrom = Literal["robust", "first"]

LISTED_ABOVE = 0.1
"""Frames of more doubt than this are listed in the report."""


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
        cleaning = CleaningOptions(person, gaps, longest_gap, smoothing)
        drawing = DrawingOptions(draw_hands, draw_feet, draw_head, draw_face, stick_width, canvas)
        poses, driving_size, report = driving_poses(driving, cleaning, source_fps)
        frames, fps = choose_frames(
            len(poses),
            source_fps,
            start=skip_first_frames,
            target_fps=target_fps,
            interval=select_every_nth,
            count=frame_load_cap,
        )
        target, size = reference_pose(reference, person, bbox_detector, pose_estimator, device)
        aligned = on_reference(target, size, [poses[frame] for frame in frames], driving_size, mode, scale_from)
        if outside := outside_report(aligned):
            say(cls.hidden.unique_id, outside)
        keypoints = with_drawing(frames_of_people([[pose] for pose in aligned], *size), drawing)
        images_of_poses = drawn(aligned if draw else aligned[:1], *size, drawing)
        full_report = "\n".join(filter(None, [report, outside]))
        return io.NodeOutput(images_of_poses, drawn([target], *size, drawing), keypoints, fps, full_report)


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


def driving_poses(driving: list, cleaning: CleaningOptions, fps: float) -> tuple[list[Pose], tuple[int, int], str]:
    """(one person's poses, width and height of their canvas, a report). Raises ValueError as people_of_clip does."""
    people = people_of_clip("driving", driving)
    size = (driving[0]["canvas_width"], driving[0]["canvas_height"])
    poses, report = clean(people, cleaning, size[0] / size[1], fps)
    return poses, size, report.text(doubtful=LISTED_ABOVE)


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


def on_reference(
    target: Pose,
    size: tuple[int, int],
    poses: list[Pose],
    driving_size: tuple[int, int],
    mode: Mode,
    scale_from: ScaleFrom,
) -> list[Pose]:
    """The driving poses on the canvas of the reference. size, driving_size: width and height of the two canvases."""
    if mode == "none":
        return onto_canvas(poses, driving_size, size)
    return align_poses(target, poses, mode, scale_from=scale_from, reference_size=size, driving_size=driving_size)


def outside_report(poses: list[Pose]) -> str:
    """One line on the frames that leave the image; empty if there are none."""
    outside = frames_outside(poses)
    return f"{len(outside)} of {len(poses)} frames leave the image, first frame {outside[0]}" if outside else ""
