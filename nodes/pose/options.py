"""What the pose nodes share: which person, how holes and jitter are dealt with, and how poses are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import comfy.model_management
import comfy.utils
import torch
from comfy_api.latest import io
from torch import Tensor

from ...unianimate_core.pose import Pose, choose_people, fill_gaps, iter_drawn, smooth_poses

TRAINED_AREA = 512 * 768
DRAWING_KEY = "unianimate_drawing"


def person_inputs() -> list[io.Input]:
    """Which person, and how holes and jitter are dealt with."""
    return [
        io.Combo.Input(
            "person",
            options=["tracked", "largest", "center", "score"],
            default="tracked",
            tooltip="Of several people: one followed over the frames, or each frame's largest, most central, surest.",
        ),
        io.Combo.Input(
            "gaps",
            options=["interpolate", "repeat", "empty"],
            default="interpolate",
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
            tooltip="Against jitter. 0 leaves key points as found; try 0.5.",
        ),
    ]


def draw_input() -> io.Input:
    """Whether to draw every pose."""
    tooltip = "Draw every pose. Off saves 5 MB a frame in long videos: only the first is drawn."
    return io.Boolean.Input("draw", default=True, tooltip=tooltip)


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
            tooltip="trained: drawn at 512x768, then scaled. own: at the image's size, with strokes in proportion.",
        ),
    ]


def defaults(inputs: Sequence[Any]) -> dict[str, Any]:
    """What a node gets for inputs that the user leaves alone."""
    return {entry.id: entry.default for entry in inputs}


def with_drawing(frames: list[dict[str, Any]], options: dict[str, Any]) -> list[dict[str, Any]]:
    """POSE_KEYPOINT frames that say how they are to be drawn; other nodes do not look at it."""
    drawing = {entry.id: options[entry.id] for entry in drawing_inputs()}
    return [frame | {DRAWING_KEY: drawing} for frame in frames]


def drawing_of(frames: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What with_drawing wrote; as trained where nothing valid is there."""
    drawing, asked = defaults(drawing_inputs()), frames[0].get(DRAWING_KEY)
    if not isinstance(asked, Mapping):
        return drawing
    return drawing | {name: value for name, value in asked.items() if isinstance(value, type(drawing.get(name)))}


def clean(people: Sequence[Sequence[Pose]], options: dict[str, Any], aspect: float, fps: float):
    """One person's poses out of everybody's, filled and smoothed, and what was done: (poses, GapReport)."""
    poses = choose_people(people, options["person"], aspect=aspect)
    poses, report = fill_gaps(poses, options["gaps"], longest=options["longest_gap"])
    return smooth_poses(poses, options["smoothing"], fps=fps), report


def drawn(poses: Sequence[Pose], width: int, height: int, options: dict[str, Any], *, bar: bool = True) -> Tensor:
    """Poses as IMAGE, on the canvas given. With canvas "trained", at its shape but the trained area.

    bar: whether the node shows how far the drawing is.
    """
    if options["canvas"] == "trained":
        scale = (TRAINED_AREA / (width * height)) ** 0.5
        width, height = max(1, round(width * scale)), max(1, round(height * scale))
    names = ("hands", "feet", "head", "face", "stick_width", "canvas")
    frames = iter_drawn(poses, height, width, **{name: options[name] for name in names})
    images = torch.empty(len(poses), height, width, 3)
    progress = comfy.utils.ProgressBar(len(poses)) if bar else None
    for image, frame in zip(images, frames, strict=True):
        comfy.model_management.throw_exception_if_processing_interrupted()
        torch.div(torch.from_numpy(frame), 255, out=image)
        if progress is not None:
            progress.update(1)
    return images
