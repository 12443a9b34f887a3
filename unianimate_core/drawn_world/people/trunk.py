"""The trunk: an oval tube from hips to neck, its clothes with their pattern, and skirts."""

from __future__ import annotations

import numpy as np

from ...pose import keypoints as points
from ...pose.opencv import cv2
from .figure import LINE, Figure
from .shapes import CIRCLE, Layer, Shape, between, capsule, edge, normal, shade

# Half width and half depth, in units of the height, along the spine from the hips (0) to the neck (1).
RINGS = np.array([-0.16, -0.02, 0.16, 0.36, 0.58, 0.8, 0.94, 1.03])
WIDTHS = np.array([0.058, 0.088, 0.082, 0.074, 0.083, 0.097, 0.084, 0.046])
DEPTHS = np.array([0.052, 0.064, 0.058, 0.054, 0.06, 0.06, 0.05, 0.036])
WAIST = 0.16  # upper edge of trousers and skirts
LEFT_EDGE, RIGHT_EDGE = np.inf, -np.inf  # angles of the visible edges on the person's left and right


class Tube:
    """Maps places on the trunk to pixels. Share: along the spine; angle: 0 ahead, pi/2 on the person's left."""

    def __init__(self, figure: Figure, widths: np.ndarray = WIDTHS, depths: np.ndarray = DEPTHS):
        proportions = figure.appearance.proportions
        girth = proportions.girth**0.7
        usual_hips, usual_shoulders = 0.056, 0.102
        breadth = np.interp(RINGS, [0, 1], [proportions.hips / usual_hips, proportions.shoulders / usual_shoulders])
        self.widths, self.depths = widths * breadth * girth * figure.unit, depths * girth * figure.unit
        self.figure = figure
        self.hips = figure.middle(points.LEFT_HIP, points.RIGHT_HIP)
        self.neck = figure.body[:, points.NECK]

    def at(self, shares, angles) -> np.ndarray:
        """Pixels (f, k, 2) of k shares and angles in radians. Points that lie behind are moved to the visible edge."""
        shares, angles = np.broadcast_arrays(np.atleast_1d(shares), np.atleast_1d(angles))
        width = np.interp(shares, RINGS, self.widths)[:, None]
        depth = np.interp(shares, RINGS, self.depths)[:, None]
        blend = np.clip(shares, 0, 1)[:, None]
        (hips, hips_toward), (chest, chest_toward) = self.figure.axes["hips"], self.figure.axes["chest"]

        def both(lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
            return lower[:, None] * (1 - blend) + upper[:, None] * blend

        left, ahead = width * both(hips[:, 0], chest[:, 0]), depth * both(hips[:, 2], chest[:, 2])
        facing = np.arctan2(
            width * both(hips_toward[:, :1], chest_toward[:, :1]),
            depth * both(hips_toward[:, 2:], chest_toward[:, 2:]),
        )[..., 0]
        seen = np.clip(angles - facing, -np.pi / 2, np.pi / 2) + facing
        center = self.hips[:, None] + shares[:, None] * (self.neck - self.hips)[:, None]
        return center + np.sin(seen)[..., None] * left + np.cos(seen)[..., None] * ahead

    def outline(self, first: float, last: float, wider: float = 0.0) -> np.ndarray:
        """The silhouette between two shares of the spine, (f, k, 2). wider: pixels added on each side."""
        shares = np.array([first, *(share for share in RINGS if first < share < last), last])
        left, right = self.at(shares, LEFT_EDGE), self.at(shares, RIGHT_EDGE)
        across = normal(self.neck - self.hips)[:, None]
        outward = wider * across * np.sign(((left - right) * across).sum(-1, keepdims=True))
        return np.concatenate([left + outward, (right - outward)[:, ::-1]], axis=1)

    def patch(self, first: float, last: float, start: float, end: float) -> np.ndarray:
        """The part of the surface between two shares and two angles, (f, 8, 2)."""
        angles = np.linspace(start, end, 4)
        return self.at(np.repeat([first, last], 4), np.concatenate([angles, angles[::-1]]))

    def ring(self, first: float, last: float) -> np.ndarray:
        """The visible part of a band all around between two shares, (f, 14, 2)."""
        angles = np.array([LEFT_EDGE, 1.1, 0.55, 0, -0.55, -1.1, RIGHT_EDGE])
        return self.at(np.repeat([first, last], 7), np.concatenate([angles, angles[::-1]]))

    def spot(self, share: float, angle: float, tall: float, wide: float) -> np.ndarray:
        """An oval on the surface, (f, 10, 2)."""
        corners = CIRCLE[::2]
        return self.at(share + tall * np.sin(corners), angle + wide * np.cos(corners))


def trunk(figure: Figure) -> Layer:
    """The upper part of the trousers or skirt, the top, the neck and the neckline."""
    who, line = figure.appearance, LINE * figure.unit
    tube = Tube(figure)
    hem = 0.0 if who.top in ("jacket", "long sleeves") else WAIST - 0.04
    neck = capsule(tube.neck, between(tube.neck, figure.head, 0.7), 0.026 * figure.unit, 0.024 * figure.unit)
    neckline = 0.42 if who.top == "sleeveless" else 0.3
    shapes = [
        Shape(tube.outline(-0.16, hem + 0.05, line), edge(who.bottom_color)),
        Shape(tube.outline(hem - 0.02, 1.03, line), edge(who.top_color)),
        Shape(neck, shade(who.skin, 0.78)),
        Shape(tube.outline(-0.16, hem), who.bottom_color),
        Shape(tube.outline(hem, 1.03), who.top_color),
        *_pattern(tube, hem),
        _shading(tube, hem),
        *(_opening(tube, hem) if who.top == "jacket" else ()),
        Shape(
            tube.at([1.03, 0.96, 0.9, 0.96, 1.03], [1.4, neckline, 0.0, -neckline, -1.4]),
            shade(who.skin, 0.9),
        ),
    ]
    return Layer(figure.depth_of(points.NECK, points.LEFT_HIP, points.RIGHT_HIP) + 0.025 * figure.unit, shapes)


def _shading(tube: Tube, hem: float) -> Shape:
    """A strip along the edge that faces away from the light: the right one on the image."""
    shares = np.linspace(hem, 0.9, 5)
    left, right = tube.at(shares, LEFT_EDGE), tube.at(shares, RIGHT_EDGE)
    rightmost = np.where(left[..., :1] > right[..., :1], left, right)
    inner = between((left + right) / 2, rightmost, 0.76)
    color = shade(tube.figure.appearance.top_color, 0.8)
    return Shape(np.concatenate([rightmost, inner[:, ::-1]], axis=1), color)


def _opening(tube: Tube, hem: float) -> list[Shape]:
    """The opening of a jacket, and the shirt below."""
    who = tube.figure.appearance
    return [
        Shape(tube.patch(hem, 1.0, -half, half), color)
        for half, color in ((0.28, edge(who.top_color)), (0.22, who.pattern_color))
    ]


def _pattern(tube: Tube, hem: float) -> list[Shape]:
    who = tube.figure.appearance
    color, extra = who.pattern_color, who.extra
    if who.pattern == "stripes":
        count = 3 + int(3 * extra)
        edges = np.linspace(hem + 0.02, 0.92, 2 * count + 1)
        return [Shape(np.stack([tube.ring(*edges[2 * i : 2 * i + 2]) for i in range(count)], axis=1), color)]
    if who.pattern == "bars":
        angles = np.radians(np.arange(-150, 180, 60 if extra > 0.5 else 50))
        return [Shape(np.stack([tube.patch(hem, 0.93, a - 0.15, a + 0.15) for a in angles], axis=1), color)]
    if who.pattern == "checks":
        angles = np.radians(np.arange(-150, 180, 50))
        upright = np.stack([tube.patch(hem, 0.92, a - 0.1, a + 0.1) for a in angles], axis=1)
        level = np.stack([tube.ring(share, share + 0.07) for share in np.linspace(hem + 0.05, 0.82, 4)], axis=1)
        return [Shape(level, color), Shape(upright, shade(color, 0.72))]
    if who.pattern == "dots":
        places = [
            (share, angle + 0.4 * (row % 2))
            for row, share in enumerate(np.linspace(hem + 0.1, 0.86, 4))
            for angle in np.radians(np.arange(-135, 140, 45))
        ]
        return [Shape(np.stack([tube.spot(*place, 0.045, 0.17) for place in places], axis=1), color)]
    if who.pattern == "motif":
        size = 0.1 + 0.05 * extra
        outer, inner = tube.spot(0.62, 0.0, size, 3.6 * size), tube.spot(0.62, 0.0, size / 2, 1.8 * size)
        return [Shape(outer, color), Shape(inner, shade(color, 0.7))]
    if who.pattern == "halves":
        return [Shape(tube.ring(hem, 0.42 + 0.2 * extra), color)]
    return []


def skirt(figure: Figure, legs_depth: np.ndarray) -> Layer:
    """A hull around waist and thighs, so that the skirt covers the legs in any posture. legs_depth: (f,)."""
    who, unit = figure.appearance, figure.unit
    length, radius = 0.55 + 0.35 * who.extra, 0.07 * who.proportions.girth * unit
    angles = np.radians(np.arange(0, 360, 30))
    rim = radius * np.stack([np.cos(angles), 0.55 * np.sin(angles)], axis=-1)
    first, second = (
        between(figure.body[:, hip], figure.body[:, knee], length)[:, None] + rim
        for hip, knee in ((points.LEFT_HIP, points.LEFT_KNEE), (points.RIGHT_HIP, points.RIGHT_KNEE))
    )
    waist = Tube(figure).at([WAIST, WAIST, -0.02, -0.02], [LEFT_EDGE, RIGHT_EDGE, LEFT_EDGE, RIGHT_EDGE])
    hull = hulls(np.concatenate([waist, first, second], axis=1))
    middle = hull.mean(1, keepdims=True)
    wider = middle + (hull - middle) * (1 + 14 * LINE)
    on_the_right = np.where((first - second).mean(1, keepdims=True)[..., :1] > 0, first, second)
    corner = np.where(waist[:, :1, :1] > waist[:, 1:2, :1], waist[:, :1], waist[:, 1:2])
    inner = between(corner, waist[:, :2].mean(1, keepdims=True), 0.5)
    dark = np.concatenate([inner, corner, on_the_right[:, :4]], axis=1)  # the rim from the right to the bottom
    cloth = who.bottom_color
    depth = np.maximum(legs_depth, figure.depth_of(points.LEFT_HIP, points.RIGHT_HIP) + 0.025 * unit) + 0.001 * unit
    return Layer(depth, [Shape(wider, edge(cloth)), Shape(hull, cloth), Shape(dark, shade(cloth, 0.86))])


def hulls(corners: np.ndarray) -> np.ndarray:
    """The convex hulls of (f, k, 2). Each is filled up to k points with its last point."""
    hulls = np.empty_like(corners)
    for frame, cloud in enumerate(corners.astype(np.float32)):
        hull = cv2.convexHull(cloud)[:, 0]
        hulls[frame, : len(hull)] = hull
        hulls[frame, len(hull) :] = hull[-1]
    return hulls
