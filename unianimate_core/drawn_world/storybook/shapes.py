"""Shapes with a soft outline, which costs a small network less than a dark one."""

from __future__ import annotations

from collections.abc import Sequence

from ..people.appearance import Color
from ..people.limbs import Segment
from ..people.shapes import Shape, shade

LINE = 0.008
"""Width of the outline, in units of the height."""


def outline_color(color: Color) -> Color:
    """The color of the soft line around a shape of this color."""
    return shade(color, 0.8)


def outlined(parts: Sequence[Segment], color: Color, line: float) -> list[Shape]:
    """Parts of one color with one outline around all of them. line: its width in pixels."""
    return [*(part.shape(outline_color(color), line) for part in parts), *(part.shape(color) for part in parts)]
