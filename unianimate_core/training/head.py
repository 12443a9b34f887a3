"""Head, hair and face. The head is an egg that turns; what lies on it is placed on its surface."""

from __future__ import annotations

import numpy as np

from ..pose import keypoints as points
from .figure import Figure
from .limbs import LINE
from .shapes import CIRCLE, Layer, Shape, disc, edge, ellipse, shade

HAIRLINES = {  # elevation in degrees of the hair's lower edge: ahead, at the sides, behind
    "short": (38, 2, -42),
    "bob": (34, -58, -75),
    "long": (36, -60, -80),
    "ponytail": (40, 10, -38),
    "bun": (42, 12, -38),
    "curly": (36, -20, -50),
    "shaven": (48, 22, -30),
    "cap": (26, 16, 4),
}
THICKNESS = {"short": 1.08, "bob": 1.12, "long": 1.1, "ponytail": 1.06, "bun": 1.06, "curly": 1.3, "shaven": 1.015, "cap": 1.1}
WHITE, DARK, LIPS = (246, 246, 244), (44, 34, 38), 0.72


class Egg:
    """Places on the head: azimuth (0 ahead, 90 degrees the person's left) and elevation (90 up), radians."""

    def __init__(self, figure: Figure):
        self.figure = figure
        self.tall = figure.appearance.proportions.head * figure.unit
        self.wide = self.tall * figure.appearance.proportions.head_width
        self.flat, self.towards = figure.axes["head"]
        self.yaw = np.arctan2(self.towards[:, 0], self.towards[:, 2])  # the azimuth that points at the viewer
        self.upright = -self.flat[:, 1] / np.maximum(np.linalg.norm(self.flat[:, 1], axis=-1, keepdims=True), 1e-6)
        self.sideways = np.stack([-self.upright[:, 1], self.upright[:, 0]], axis=-1)  # to the picture's right

    def at(self, azimuth, elevation, out: float = 1.0) -> np.ndarray:
        """(f, 2), whether seen or not."""
        azimuth, elevation = np.broadcast_arrays(azimuth, elevation, self.yaw)[:2]
        left, up, ahead = np.cos(elevation) * np.sin(azimuth), np.sin(elevation), np.cos(elevation) * np.cos(azimuth)
        offset = (
            self.wide * left[:, None] * self.flat[:, 0]
            - self.tall * up[:, None] * self.flat[:, 1]
            + self.wide * ahead[:, None] * self.flat[:, 2]
        )
        return self.figure.head + out * offset

    def seen(self, azimuth: float, elevation: float = 0.0) -> np.ndarray:
        """(f,): above 0 on the near side."""
        direction = np.array([np.cos(elevation) * np.sin(azimuth), -np.sin(elevation), np.cos(elevation) * np.cos(azimuth)])
        return self.towards @ direction

    def patch(self, azimuth: float, elevation: float, wide: float, tall: float, out: float = 1.0) -> np.ndarray:
        """An oval on the surface, (f, k, 2), gathered at the edge where it would lie behind."""
        corners = CIRCLE[::2]
        rows = []
        for corner in corners:
            turned = azimuth + wide * np.cos(corner)
            relative = np.clip(_wrapped(turned - self.yaw), -np.pi / 2, np.pi / 2)
            rows.append(self.at(relative + self.yaw, elevation + tall * np.sin(corner), out))
        return np.stack(rows, axis=1)

    def outline(self, out: float) -> np.ndarray:
        """Round above, narrower at the chin."""
        angles = CIRCLE
        narrow = 1 - 0.13 * np.maximum(-np.sin(angles), 0) ** 1.5
        right = np.cos(angles) * narrow
        return (
            self.figure.head[:, None]
            + out * self.wide * right[None, :, None] * self.sideways[:, None]
            + out * self.tall * np.sin(angles)[None, :, None] * self.upright[:, None]
        )


def _wrapped(angle: np.ndarray) -> np.ndarray:
    return (angle + np.pi) % (2 * np.pi) - np.pi


def head(figure: Figure) -> Layer:
    who, line = figure.appearance, LINE * figure.unit
    egg = Egg(figure)
    layer = Layer(figure.head_depth + 0.03 * figure.unit)
    out = line / egg.tall
    layer.shapes += _ears(egg, line)
    layer.shapes += [Shape(egg.outline(1 + out), edge(who.skin)), Shape(egg.outline(1.0), who.skin)]
    layer.shapes += _cheek_shade(egg)
    layer.shapes += _face(egg, line)
    layer.shapes += _hair(egg, line)
    return layer


def _cheek_shade(egg: Egg) -> list[Shape]:
    angles = np.radians(np.linspace(-75, 40, 7))
    edge_points = [np.cos(a) * egg.wide * (1 - 0.13 * max(-np.sin(a), 0)) * egg.sideways + np.sin(a) * egg.tall * egg.upright for a in angles]
    inner = [0.8 * p - 0.02 * egg.wide * egg.sideways for p in edge_points]
    rows = [egg.figure.head + p for p in edge_points + inner[::-1]]
    return [Shape(np.stack(rows, axis=1), shade(egg.figure.appearance.skin, 0.88))]


def _ears(egg: Egg, line: float) -> list[Shape]:
    skin, shapes = egg.figure.appearance.skin, []
    if egg.figure.appearance.hair_style in ("bob", "long", "curly"):
        return shapes
    for joint in (points.LEFT_EAR, points.RIGHT_EAR):
        centre = egg.figure.body[:, joint]
        for grow, colour in ((line, edge(skin)), (0.0, shade(skin, 0.92))):
            shapes.append(Shape(ellipse(centre, (0.15 * egg.tall + grow) * egg.sideways, (0.22 * egg.tall + grow) * egg.upright), colour))
    return shapes


def _face(egg: Egg, line: float) -> list[Shape]:
    """Eyes, brows, nose and mouth: at the edge they are foreshortened to nothing."""
    who, shapes = egg.figure.appearance, []
    for side in (1, -1):
        azimuth = side * 0.44
        shapes.append(Shape(egg.patch(azimuth, 0.02, 0.2, 0.12), WHITE))
        shapes.append(Shape(egg.patch(azimuth - 0.02 * side, 0.0, 0.115, 0.13), DARK))
        shapes.append(Shape(egg.patch(azimuth, 0.24, 0.23, 0.035), shade(who.hair, 0.8)))
        shapes.append(Shape(egg.patch(side * 0.62, -0.33, 0.16, 0.09), _blush(who.skin)))
    shapes.append(Shape(egg.patch(0.0, -0.2, 0.085, 0.11, 1.04), shade(who.skin, 0.8)))
    red, green, blue = who.skin
    shapes.append(Shape(egg.patch(0.0, -0.55, 0.27, 0.055), (red * 0.78, green * 0.45, blue * 0.45)))
    return shapes


def _blush(skin) -> tuple[float, float, float]:
    red, green, blue = skin
    return red * 0.97, green * 0.86, blue * 0.84


def _hair(egg: Egg, line: float) -> list[Shape]:
    """What lies on the skull: from the hairline that is seen, over the top."""
    who = egg.figure.appearance
    style = who.hair_style
    colour = who.pattern_colour if style == "cap" else who.hair
    thick = THICKNESS[style]
    shapes = []
    for grow, tone in ((line / egg.tall, edge(colour)), (0.0, colour)):
        shapes.append(Shape(_skull(egg, style, thick + grow, grow), tone))
    shapes.append(Shape(_gloss(egg, thick), shade(colour, 1.22)))
    if style == "bun":
        centre = egg.figure.head + egg.upright * egg.tall * 1.12 - egg.sideways * egg.wide * 0.5 * np.sin(egg.yaw)[:, None] * -1
        shapes += [Shape(disc(centre, 0.36 * egg.tall + line), edge(colour)), Shape(disc(centre, 0.36 * egg.tall), colour)]
    if style == "cap":
        brim = egg.patch(0.0, np.radians(26), 0.8, 0.13, 1.22)
        shapes += [Shape(brim, shade(colour, 0.7))]
    return shapes


def _skull(egg: Egg, style: str, thick: float, grow: float) -> np.ndarray:
    ahead, side, behind = (np.radians(value) for value in HAIRLINES[style])
    views = np.radians(np.linspace(-90, 90, 13))
    rows = []
    for view in views:
        azimuth = np.abs(_wrapped(egg.yaw + view))
        elevation = np.interp(azimuth, np.radians([0, 45, 75, 100, 140, 180]), [ahead, ahead * 0.92, side + 0.55 * (ahead - side) * 0.5, side, behind, behind])
        rows.append(egg.at(egg.yaw + view, elevation - grow, thick if abs(view) > 1.2 else 1.02))
    right_end, left_end = rows[-1], rows[0]
    top = []
    for angle in np.radians(np.linspace(8, 172, 12)):
        top.append(egg.figure.head + thick * (egg.wide * np.cos(angle) * egg.sideways + egg.tall * np.sin(angle) * egg.upright))
    return np.stack(rows + top, axis=1)


def _gloss(egg: Egg, thick: float) -> np.ndarray:
    angles = np.radians(np.linspace(108, 140, 5))
    outer = [0.9 * thick * (egg.wide * np.cos(a) * egg.sideways + egg.tall * np.sin(a) * egg.upright) for a in angles]
    inner = [0.76 * thick * (egg.wide * np.cos(a) * egg.sideways + egg.tall * np.sin(a) * egg.upright) for a in angles]
    return np.stack([egg.figure.head + p for p in outer + inner[::-1]], axis=1)


def hair_behind(figure: Figure) -> Layer | None:
    """What hangs down behind the neck; None for short hair."""
    who, line = figure.appearance, LINE * figure.unit
    egg = Egg(figure)
    drop = {"bob": 1.12, "long": 2.5, "ponytail": 2.1, "curly": 1.0}.get(who.hair_style)
    if drop is None:
        return None
    layer = Layer(figure.head_depth - 0.05 * figure.unit)
    down = np.array([0.0, 1.0])
    across = egg.sideways
    shift = -np.sin(egg.yaw)[:, None] * across * egg.wide * -0.35
    centre = figure.head + shift
    width = {"bob": 1.14, "long": 1.1, "ponytail": 0.34, "curly": 1.36}[who.hair_style] * egg.wide
    if who.hair_style == "ponytail":
        centre = centre + shift * 1.6
    for grow, tone in ((line, edge(who.hair)), (0.0, shade(who.hair, 0.86))):
        w = width + grow
        length = drop * egg.tall + grow
        rows = [centre - w * across, centre - 0.96 * w * across + 0.5 * length * down, centre - 0.8 * w * across + length * down]
        rows += [centre + 0.8 * w * across + length * down, centre + 0.96 * w * across + 0.5 * length * down, centre + w * across]
        layer.shapes.append(Shape(np.stack(rows, axis=1), tone))
    return layer
