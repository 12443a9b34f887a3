"""Inputs that the pose nodes share, and drawing poses as IMAGE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import comfy.model_management
import comfy.utils
import torch
from comfy_api.latest import io
from torch import Tensor

from ...unianimate_core.pose import Pose, iter_drawn_people
from ...unianimate_core.pose.retarget import Gaps, Person, RetargetOptions

TRAINED_AREA = 512 * 768  # pixels
Canvas = Literal["trained", "own"]

DRAWING_KEY = "unianimate_drawing"
"""The key of a POSE_KEYPOINT frame under which Pose Align says how to draw it; other packs ignore it."""


@dataclass(frozen=True)
class DrawingOptions:
    """How poses are drawn, with the names of `iter_drawn_people`. The defaults are what the network was trained on."""

    hands: bool = True
    feet: bool = True
    head: bool = True
    face: bool = False
    stick_width: int = 4
    canvas: Canvas = "trained"


DEFAULTS, AS_TRAINED = RetargetOptions(), DrawingOptions()


def cleaning_inputs() -> list[io.Input]:
    """Which person to take, and how gaps and jitter are treated; see RetargetOptions."""
    return [
        io.Combo.Input(
            "person",
            options=list(get_args(Person)),
            default=DEFAULTS.person,
            tooltip="Which of several people to take: tracked follows one person through all frames, the others pick "
            "the largest, most central or most certain person frame by frame.",
        ),
        io.Combo.Input(
            "gaps",
            options=list(get_args(Gaps)),
            default=DEFAULTS.gaps,
            tooltip="How to fill frames in which the person or a part is missing: interpolate short gaps and repeat "
            "the last pose in long ones, repeat the last pose in all, or leave them empty.",
        ),
        io.Int.Input(
            "longest_gap",
            default=DEFAULTS.longest_gap,
            min=1,
            max=1000,
            tooltip="Longest gap to interpolate, in frames; lower it if limbs drift while they are hidden.",
            advanced=True,
        ),
        io.Float.Input(
            "smoothing",
            default=DEFAULTS.smoothing,
            min=0.0,
            max=1.0,
            step=0.05,
            tooltip="Strength of smoothing, 0 (off) to 1; try 0.5 if the keypoints jitter.",
        ),
    ]


def frame_range_inputs() -> list[io.Input]:
    """Which part of a video is used."""
    return [
        io.Int.Input(
            "skip_first_frames", default=0, min=0, max=1000000, tooltip="Number of frames to skip at the beginning."
        ),
        io.Int.Input(
            "frame_load_cap", default=0, min=0, max=1000000, tooltip="Most frames to use; 0 uses all that follow."
        ),
    ]


def draw_input() -> io.Input:
    """Whether to draw every pose."""
    return io.Boolean.Input(
        "draw",
        default=True,
        tooltip="Draw every frame; turn it off for long videos to save 5 MB a frame, only the first is drawn then.",
    )


def drawing_inputs() -> list[io.Input]:
    """The fields of DrawingOptions, the parts as draw_hands, draw_feet, draw_head and draw_face."""
    return [
        io.Boolean.Input("draw_hands", default=AS_TRAINED.hands, tooltip="Draw the hands.", advanced=True),
        io.Boolean.Input("draw_feet", default=AS_TRAINED.feet, tooltip="Draw the toes.", advanced=True),
        io.Boolean.Input("draw_head", default=AS_TRAINED.head, tooltip="Draw nose, eyes and ears.", advanced=True),
        io.Boolean.Input(
            "draw_face",
            default=AS_TRAINED.face,
            tooltip="Draw the 68 points of the face; leave it off for UniAnimate, which was trained without them.",
            advanced=True,
        ),
        io.Int.Input(
            "stick_width",
            default=AS_TRAINED.stick_width,
            min=1,
            max=64,
            tooltip="Half the thickness of a bone, in pixels of a 512x768 drawing; 4 as trained.",
            advanced=True,
        ),
        io.Combo.Input(
            "canvas",
            options=list(get_args(Canvas)),
            default=AS_TRAINED.canvas,
            tooltip="trained draws at 512x768 and scales the drawing, as the network saw it; own draws at the image's "
            "own size, which is sharper in large images.",
            advanced=True,
        ),
    ]


def with_drawing(frames: Sequence[dict[str, Any]], drawing: DrawingOptions) -> list[dict[str, Any]]:
    """POSE_KEYPOINT frames that carry how to draw them."""
    return [frame | {DRAWING_KEY: asdict(drawing)} for frame in frames]


def drawing_of(frames: Sequence[Mapping[str, Any]]) -> DrawingOptions:
    """What `with_drawing` wrote into the first frame; as trained for each option that is absent or of another type."""
    written = frames[0].get(DRAWING_KEY)
    if not isinstance(written, Mapping):
        return AS_TRAINED
    types = {name: type(value) for name, value in asdict(AS_TRAINED).items()}
    valid = {name: value for name, value in written.items() if isinstance(value, types.get(name, ()))}
    return replace(AS_TRAINED, **valid)


def drawn(
    poses: Sequence[Pose], width: int, height: int, drawing: DrawingOptions = AS_TRAINED, *, bar: bool = True
) -> Tensor:
    """One pose a frame as IMAGE; see drawn_people."""
    return drawn_people([[pose] for pose in poses], width, height, drawing, bar=bar)


def drawn_people(
    people: Sequence[Sequence[Pose]],
    width: int,
    height: int,
    drawing: DrawingOptions = AS_TRAINED,
    *,
    bar: bool = True,
) -> Tensor:
    """Everybody in each frame as IMAGE, b h w 3; a frame without anybody is black.

    The first person of a frame is drawn on top of the others. width, height: the canvas in pixels; with the canvas
    "trained" the image has its shape, but the area of 512x768. bar: show a progress bar on the node.
    """
    if drawing.canvas == "trained":
        scale = (TRAINED_AREA / (width * height)) ** 0.5
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
    bottom_first = [frame[::-1] for frame in people]
    drawings = iter_drawn_people(bottom_first, height, width, **asdict(drawing))
    images = torch.empty(len(people), height, width, 3)
    progress = comfy.utils.ProgressBar(len(people)) if bar else None
    for image, frame in zip(images, drawings, strict=True):
        comfy.model_management.throw_exception_if_processing_interrupted()
        torch.div(torch.from_numpy(frame), 255, out=image)
        if progress is not None:
            progress.update(1)
    return images
