"""The trunk: an oval tube from hips to neck, its clothes with their pattern, and skirts."""

from __future__ import annotations

import numpy as np

from ..pose import keypoints as points
from ..pose.opencv import cv2
from .appearance import Colour
from .figure import Figure
from .limbs import LINE
from .shapes import CIRCLE, Layer, Shape, between, capsule, edge, ellipse, normal, shade

# Along the spine from the hips (0) to the neck joint (1): half width and half depth, in units of the height.
RINGS = np.array([-0.16, -0.02, 0.16, 0.36, 0.58, 0.8, 0.94, 1.03])
WIDTHS = np.array([0.066, 0.088, 0.08, 0.073, 0.083, 0.097, 0.082, 0.046])
DEPTHS = np.array([0.058, 0.064, 0.058, 0.054, 0.06, 0.06, 0.05, 0.036])
WAIST = 0.16  # of the spine: where bottoms begin


class Tube:
    """The trunk's surface: places by angle (0 ahead, 90 degrees the person's left) and share of the spine."""

    def __init__(self, figure: Figure):
        self.figure = figure
        girth = figure.appearance.proportions.girth**0.7
        shoulders = figure.appearance.proportions.shoulders / 0.102
        hips = figure.appearance.proportions.hips / 0.056
        scale = np.interp(RINGS, [0, 1], [hips, shoulders]) * girth * figure.unit
        self.widths, self.depths = WIDTHS * scale, DEPTHS * girth * figure.unit
        self.hips = (figure.body[:, points.LEFT_HIP] + figure.body[:, points.RIGHT_HIP]) / 2
        self.neck = figure.body[:, points.NECK]

    def _ring(self, share: float):
        width, depth = np.interp(share, RINGS, self.widths), np.interp(share, RINGS, self.depths)
        blend = float(np.clip(share, 0, 1))
        hips, chest = self.figure.axes["hips"], self.figure.axes["chest"]
        flat = between(hips[0], chest[0], blend)
        towards = between(hips[1], chest[1], blend)
        centre = between(self.hips, self.neck, share)
        return centre, width * flat[:, 0], depth * flat[:, 2], width * towards[:, 0], depth * towards[:, 2]

    def at(self, share: float, angle: float | np.ndarray, wider: float = 0.0) -> np.ndarray:
        """Point (f, 2); an angle behind the edge of what is seen stays at the edge. angle: radians, or (f,)."""
        centre, left, ahead, left_towards, ahead_towards = self._ring(share)
        facing = np.arctan2(left_towards, ahead_towards)  # the angle that points at the viewer
        across = normal(self.neck - self.hips)
        relative = np.clip(angle - facing, -np.pi / 2, np.pi / 2)
        seen = relative + facing
        return centre + np.sin(seen)[:, None] * left + np.cos(seen)[:, None] * ahead + 0 * across

    def outline(self, first: float, last: float, wider: float = 0.0) -> np.ndarray:
        """What is seen between two shares of the spine, (f, k, 2)."""
        shares = [first, *(share for share in RINGS if first < share < last), last]
        left = [self.at(share, np.inf) for share in shares]
        right = [self.at(share, -np.inf) for share in shares]
        across = normal(self.neck - self.hips)
        sign = np.sign(((left[0] - right[0]) * across).sum(-1, keepdims=True))
        return np.stack([point + wider * sign * across for point in left] + [point - wider * sign * across for point in right[::-1]], axis=1)

    def patch(self, first: float, last: float, start: float, end: float) -> np.ndarray:
        """The part of the surface between two shares and two angles, (f, 8, 2)."""
        angles = np.linspace(start, end, 4)
        return np.stack([self.at(first, angle) for angle in angles] + [self.at(last, angle) for angle in angles[::-1]], axis=1)

    def ring_band(self, first: float, last: float) -> np.ndarray:
        """All around, bent as one sees it, (f, 14, 2)."""
        across = [np.inf, *np.radians([60, 30, 0, -30, -60]), -np.inf]
        facing = [self._facing(share) for share in (first, last)]
        upper = [self.at(first, angle + (facing[0] if np.isfinite(angle) else 0)) for angle in across]
        lower = [self.at(last, angle + (facing[1] if np.isfinite(angle) else 0)) for angle in across]
        return np.stack(upper + lower[::-1], axis=1)

    def _facing(self, share: float) -> np.ndarray:
        _, _, _, left_towards, ahead_towards = self._ring(share)
        return np.arctan2(left_towards, ahead_towards)


def trunk(figure: Figure) -> Layer:
    who, line = figure.appearance, LINE * figure.unit
    tube = Tube(figure)
    layer = Layer(figure.body_depth[:, [points.NECK, points.LEFT_HIP, points.RIGHT_HIP]].mean(1) + 0.025 * figure.unit)
    cloth, skin = who.top_colour, who.skin
    neck = capsule(tube.neck, between(tube.neck, figure.head, 0.7), 0.026 * figure.unit, 0.024 * figure.unit)
    bottom = who.bottom_colour
    hem = WAIST - 0.16 * (who.top in ("jacket", "long sleeves"))
    layer.shapes += [
        Shape(tube.outline(-0.16, 1.03, line), edge(cloth)),
        Shape(neck, shade(skin, 0.78)),
        Shape(tube.outline(-0.16, WAIST), bottom),
        Shape(tube.outline(hem, 1.03), cloth),
    ]
    layer.shapes += _pattern(tube, hem)
    layer.shapes += _shading(tube, hem)
    if who.top == "jacket":
        layer.shapes += _opening(tube, hem)
    neckline = 0.3 if who.top != "sleeveless" else 0.42
    layer.shapes.append(Shape(_neckline(tube, neckline), shade(skin, 0.9)))
    return layer


def _shading(tube: Tube, hem: float) -> list[Shape]:
    """The side away from the light, darker: a strip along the right edge of the picture."""
    # Drawn as a shape of the darker cloth would hide the pattern, so it is a thin strip alone.
    who = tube.figure.appearance
    shares = np.linspace(hem, 0.9, 5)
    outer = [_right_edge(tube, share, 1.0) for share in shares]
    inner = [_right_edge(tube, share, 0.8) for share in shares]
    return [Shape(np.stack(outer + inner[::-1], axis=1), shade(who.top_colour, 0.8))]


def _right_edge(tube: Tube, share: float, how_far: float) -> np.ndarray:
    left, right = tube.at(share, np.inf), tube.at(share, -np.inf)
    rightmost = np.where((left[:, :1] > right[:, :1]), left, right)
    return between((left + right) / 2, rightmost, how_far)


def _neckline(tube: Tube, width: float) -> np.ndarray:
    return np.stack(
        [tube.at(1.03, np.pi / 2 * 0.9), tube.at(0.96, width), tube.at(0.9, 0.0), tube.at(0.96, -width), tube.at(1.03, -np.pi / 2 * 0.9)],
        axis=1,
    )


def _opening(tube: Tube, hem: float) -> list[Shape]:
    """An open jacket's inner shirt."""
    who = tube.figure.appearance
    shirt = tube.patch(hem, 1.0, -0.28, 0.28)
    return [Shape(shirt, edge(who.top_colour)), Shape(tube.patch(hem, 1.0, -0.22, 0.22), who.pattern_colour)]


def _pattern(tube: Tube, hem: float) -> list[Shape]:
    who = tube.figure.appearance
    colour, extra = who.pattern_colour, who.extra
    if who.pattern == "stripes":
        count = 3 + int(3 * extra)
        edges = np.linspace(hem + 0.02, 0.92, 2 * count + 1)
        return [Shape(tube.ring_band(edges[2 * i], edges[2 * i + 1]), colour) for i in range(count)]
    if who.pattern == "bars":
        angles = np.radians(np.arange(-165, 180, 60 if extra > 0.5 else 45))
        return [Shape(tube.patch(hem, 0.93, angle - 0.14, angle + 0.14), colour) for angle in angles]
    if who.pattern == "checks":
        shapes = [Shape(tube.ring_band(share, share + 0.07), colour) for share in np.linspace(hem + 0.05, 0.82, 4)]
        cross = shade(colour, 0.72)
        return shapes + [
            Shape(tube.patch(hem, 0.92, angle - 0.09, angle + 0.09), cross) for angle in np.radians(np.arange(-150, 180, 50))
        ]
    if who.pattern == "dots":
        shapes = []
        for row, share in enumerate(np.linspace(hem + 0.1, 0.86, 4)):
            for angle in np.radians(np.arange(-160, 180, 45) + 22 * (row % 2)):
                shapes.append(Shape(_spot(tube, share, angle, 0.045, 0.17), colour))
        return shapes
    if who.pattern == "motif":
        size = 0.1 + 0.05 * extra
        return [Shape(_spot(tube, 0.62, 0.0, size, 3.6 * size), colour), Shape(_spot(tube, 0.62, 0.0, size * 0.5, 1.8 * size), shade(colour, 0.7))]
    if who.pattern == "halves":
        return [Shape(tube.ring_band(hem, 0.42 + 0.2 * extra), colour)]
    return []


def _spot(tube: Tube, share: float, angle: float, tall: float, wide: float) -> np.ndarray:
    corners = CIRCLE[::2]
    return np.stack([tube.at(share + tall * np.sin(c), angle + wide * np.cos(c)) for c in corners], axis=1)


def skirt(figure: Figure, legs_depth: np.ndarray) -> Layer:
    """A hull around waist and thighs, so that it falls well whatever the legs do."""
    who, line = figure.appearance, LINE * figure.unit
    tube = Tube(figure)
    girth = who.proportions.girth * figure.unit
    length, radius = 0.55 + 0.35 * who.extra, 0.07 * girth
    corners = [tube.at(share, angle) for share in (WAIST, -0.02) for angle in (np.inf, -np.inf)]
    for hip, knee in ((points.LEFT_HIP, points.LEFT_KNEE), (points.RIGHT_HIP, points.RIGHT_KNEE)):
        hem = between(figure.body[:, hip], figure.body[:, knee], length)
        for angle in np.linspace(0, 2 * np.pi, 10, endpoint=False):
            corners.append(hem + radius * np.array([np.cos(angle), 0.55 * np.sin(angle)]))
    hull = _hulls(np.stack(corners, axis=1))
    middle = hull.mean(1, keepdims=True)
    wider = middle + (hull - middle) * (1 + 2.2 * line / (figure.unit * 0.15))
    depth = np.maximum(legs_depth, figure.body_depth[:, [points.LEFT_HIP, points.RIGHT_HIP]].mean(1) + 0.025 * figure.unit)
    right = hull.copy()
    right[..., 0] = np.maximum(right[..., 0], middle[..., 0] + 0.45 * (hull[..., 0].max(1, keepdims=True) - middle[..., 0]))
    cloth = who.bottom_colour
    return Layer(depth + 1e-3, [Shape(wider, edge(cloth)), Shape(hull, cloth), Shape(right, shade(cloth, 0.86))])


def _hulls(corners: np.ndarray) -> np.ndarray:
    """Convex hulls of (f, k, 2), each filled up to k points with its last."""
    hulls = np.empty_like(corners)
    for frame, cloud in enumerate(corners.astype(np.float32)):
        hull = cv2.convexHull(cloud)[:, 0]
        hulls[frame, : len(hull)] = hull
        hulls[frame, len(hull) :] = hull[-1]
    return hulls
