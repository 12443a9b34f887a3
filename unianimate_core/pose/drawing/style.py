"""Which parts of a person are drawn, and with which strokes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..keypoints import PoseError

LARGEST_STROKE = 1024  # pixels, of widths and radii
STROKES = ("stick_width", "hand_width", "point_radius", "face_radius")


@dataclass(frozen=True)
class DrawingStyle:
    """The options of every drawing function. The defaults are the authors', made for a canvas of 512x768.

    hands, feet (toes), face (68 white points), head (nose, eyes, ears): whether the part is drawn. The network was
    trained with all parts except the face.
    stick_width: half the thickness of a body bone; hand_width: thickness of a finger line; point_radius: of joints
    and hand points; face_radius: of face points. All are whole pixels, 1 to 1,024.

    Raises PoseError if a stroke is out of range.
    """

    hands: bool = True
    feet: bool = True
    face: bool = False
    head: bool = True
    stick_width: int = 4
    hand_width: int = 2
    point_radius: int = 4
    face_radius: int = 3

    def __post_init__(self) -> None:
        for name in STROKES:
            stroke = getattr(self, name)
            whole = isinstance(stroke, (int, np.integer)) and not isinstance(stroke, bool)
            if not whole or not 1 <= stroke <= LARGEST_STROKE:
                raise PoseError(f"{name} is {stroke!r}: give a whole number of pixels, 1 to {LARGEST_STROKE}")

    def scaled(self, factor: float) -> DrawingStyle:
        """The style with strokes `factor` times as wide, rounded, and within the allowed range."""
        strokes = {name: min(max(1, round(getattr(self, name) * factor)), LARGEST_STROKE) for name in STROKES}
        return replace(self, **strokes)
