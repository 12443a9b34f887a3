"""Flat shapes that move: outlines are computed for all frames at once, then painted frame by frame.

Outlines are pixels of the canvas, (f, k, 2) for f frames. A Layer is a part of the body: the shapes to paint, in order,
and their common depth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...pose.opencv import cv2
from .appearance import Color

LIGHT = np.array([-0.55, -0.83])  # direction on the image that the light comes from
FRACTION_BITS = 4  # coordinates for OpenCV are in units of 1/16 pixel
FARTHEST = 1 << 14  # coordinates are clipped to this many pixels
_ROUND = np.linspace(-np.pi / 2, np.pi / 2, 7)
CIRCLE = np.linspace(0, 2 * np.pi, 20, endpoint=False)


@dataclass(frozen=True)
class Shape:
    """outline: (f, k, 2), or (f, n, k, 2) for n outlines that do not overlap.

    thickness: of a line through these points, in pixels; 0 fills the outline.
    """

    outline: np.ndarray
    color: Color
    thickness: float = 0.0


@dataclass
class Layer:
    """depth: (f,); a greater depth is nearer to the viewer."""

    depth: np.ndarray
    shapes: list[Shape] = field(default_factory=list)


def shade(color: Color, factor: float) -> Color:
    """A darker color if factor is below 1; one nearer to white if it is above."""
    if factor <= 1:
        red, green, blue = (value * factor for value in color)
    else:
        red, green, blue = (value + (255 - value) * (factor - 1) for value in color)
    return red, green, blue


def edge(color: Color) -> Color:
    """The color of the line around a shape of this color."""
    return shade(color, 0.52)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-6)


def normal(vectors: np.ndarray) -> np.ndarray:
    """Vectors turned clockwise on the image by a quarter turn, of unit length."""
    return unit(np.stack([-vectors[..., 1], vectors[..., 0]], axis=-1))


def between(start: np.ndarray, end: np.ndarray, share: float) -> np.ndarray:
    return start + (end - start) * share


def capsule(start: np.ndarray, end: np.ndarray, start_radius: float, end_radius: float, belly: float = 0) -> np.ndarray:
    """The outline of a limb, round at both ends. start, end: (f, 2); belly: radius added at a third of the way."""
    along = unit(end - start)[:, None]
    across = normal(end - start)[:, None]
    cosine, sine = np.cos(_ROUND)[None, :, None], np.sin(_ROUND)[None, :, None]
    end_cap = end[:, None] + end_radius * (cosine * along + sine * across)
    start_cap = start[:, None] - start_radius * (cosine * along + sine * across)
    if not belly:
        return np.concatenate([end_cap, start_cap], axis=1)
    third = between(start, end, 0.34)[:, None]
    radius = start_radius + (end_radius - start_radius) * 0.34 + belly
    return np.concatenate([end_cap, third + radius * across, start_cap, third - radius * across], axis=1)


def band(start: np.ndarray, end: np.ndarray, start_radius: float, end_radius: float, first: float, last: float):
    """The outline of the part of a limb between two shares of its length, (f, 4, 2)."""
    across = normal(end - start)
    corners = []
    for share, side in ((first, 1), (first, -1), (last, -1), (last, 1)):
        radius = start_radius + (end_radius - start_radius) * share
        corners.append(between(start, end, share) + side * radius * across)
    return np.stack(corners, axis=1)


def shaded_side(start: np.ndarray, end: np.ndarray, start_radius: float, end_radius: float) -> np.ndarray:
    """The outline of the side of a limb that faces away from the light, (f, 4, 2)."""
    across = normal(end - start)
    away = -(across @ LIGHT)[:, None]
    outer, inner = np.sign(away), np.sign(away) * (1 - 0.85 * np.abs(away))
    return np.stack(
        [
            start + start_radius * inner * across,
            start + start_radius * outer * across,
            end + end_radius * outer * across,
            end + end_radius * inner * across,
        ],
        axis=1,
    )


def ellipse(center: np.ndarray, first: np.ndarray, second: np.ndarray, angles: np.ndarray = CIRCLE) -> np.ndarray:
    """center, first, second: the middle and the half axes as vectors, (f, 2) each."""
    return (
        center[:, None]
        + np.cos(angles)[None, :, None] * first[:, None]
        + np.sin(angles)[None, :, None] * second[:, None]
    )


def disc(center: np.ndarray, radius: float) -> np.ndarray:
    right, down = np.zeros_like(center), np.zeros_like(center)
    right[:, 0] = down[:, 1] = radius
    return ellipse(center, right, down)


def paint(layers: Sequence[Layer], canvases: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Paints frame i of the layers onto canvas i (uint8 h w 3), the farthest layer first, and yields it."""
    order = np.argsort(np.stack([layer.depth for layer in layers]), axis=0, kind="stable")
    prepared = [[_prepared(shape) for shape in layer.shapes] for layer in layers]
    fill, line, antialiased = cv2.fillPoly, cv2.polylines, cv2.LINE_AA
    for frame, canvas in enumerate(canvases):
        for index in order[:, frame]:
            for outline, color, thickness in prepared[index]:
                if thickness:
                    line(canvas, list(outline[frame]), False, color, thickness, antialiased, FRACTION_BITS)
                else:
                    fill(canvas, list(outline[frame]), color, antialiased, FRACTION_BITS)
        yield canvas


def _prepared(shape: Shape) -> tuple[np.ndarray, Color, int]:
    """Outlines (f, n, k, 2) in units of OpenCV, color and thickness."""
    pixels = np.clip(shape.outline, -FARTHEST, FARTHEST) - 0.5  # OpenCV puts 0 at the middle of the first pixel
    fixed = np.ascontiguousarray(np.round(pixels * (1 << FRACTION_BITS)), np.int32)
    several = fixed if fixed.ndim == 4 else fixed[:, None]
    return several, shape.color, max(1, round(shape.thickness)) if shape.thickness else 0
