"""Head, hair and face. The head is an egg that turns; the face lies on its surface."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...pose import keypoints as points
from .figure import LINE, Figure
from .shapes import CIRCLE, Layer, Shape, disc, edge, ellipse, shade, unit

WHITE, DARK = (246.0, 246.0, 244.0), (44.0, 34.0, 38.0)
CHIN = 0.13  # by how much the head narrows


@dataclass(frozen=True)
class Haircut:
    """The form of the hair.

    ahead, side, behind: elevation of the hair's lower edge, degrees; thickness: in radii of the head.
    hanging: length and half width, in radii of the head, of the hair that hangs behind the neck.
    """

    ahead: float
    side: float
    behind: float
    thickness: float
    hanging: tuple[float, float] | None = None
    covers_ears: bool = False


HAIRCUTS = {
    "short": Haircut(38, 2, -42, 1.08),
    "bob": Haircut(34, -58, -75, 1.12, (1.12, 1.14), covers_ears=True),
    "long": Haircut(36, -60, -80, 1.1, (2.5, 1.1), covers_ears=True),
    "ponytail": Haircut(40, 10, -38, 1.06, (2.1, 0.34)),
    "bun": Haircut(42, 12, -38, 1.06),
    "curly": Haircut(36, -20, -50, 1.3, (1.0, 1.36), covers_ears=True),
    "shaven": Haircut(48, 22, -30, 1.015),
    "cap": Haircut(26, 16, 4, 1.1),
}


class Egg:
    """Maps places on the head to pixels. Azimuth: 0 ahead, pi/2 on the person's left; elevation: upward; radians."""

    def __init__(self, figure: Figure):
        self.figure = figure
        self.tall = figure.appearance.proportions.head * figure.unit
        self.wide = self.tall * figure.appearance.proportions.head_width
        self.flat, toward = figure.axes["head"]
        self.yaw = np.arctan2(toward[:, 0], toward[:, 2])[:, None]  # the azimuth that faces the viewer
        self.up = unit(-self.flat[:, 1])
        self.right = np.stack([-self.up[:, 1], self.up[:, 0]], axis=-1)  # toward the right of the image

    def at(self, azimuths: np.ndarray, elevations: np.ndarray, out: float | np.ndarray = 1.0) -> np.ndarray:
        """Pixels (f, k, 2), visible or not. azimuths, elevations: (k,) or (f, k); out: in radii of the head."""
        azimuths, elevations = np.broadcast_arrays(azimuths + 0 * self.yaw, elevations)
        level = self.wide * np.cos(elevations)
        parts = np.stack([level * np.sin(azimuths), -self.tall * np.sin(elevations), level * np.cos(azimuths)], axis=-1)
        return self.figure.head[:, None] + np.broadcast_to(out, azimuths.shape)[..., None] * (parts @ self.flat)

    def patch(self, azimuth: float, elevation: float, wide: float, tall: float, *, slant: float = 0, out: float = 1):
        """An oval on the surface, (f, k, 2). Parts that lie behind the head are moved to its edge.

        slant: how much the oval rises from the middle of the face outward.
        """
        corners = CIRCLE[::2]
        away = wide * np.cos(corners)
        relative = np.clip(_wrapped(azimuth + away - self.yaw), -np.pi / 2, np.pi / 2)
        outward = away * (1 if azimuth > 0 else -1)
        return self.at(relative + self.yaw, elevation + tall * np.sin(corners) + slant * outward, out)

    def flat_curve(self, angles: np.ndarray, out: float | np.ndarray) -> np.ndarray:
        """Points of the silhouette, (f, k, 2). angles, out: (k,) or (f, k); angles count from the right upward."""
        narrow = 1 - CHIN * np.maximum(-np.sin(angles), 0) ** 1.5
        sideways, upward = self.wide * np.cos(angles) * narrow, self.tall * np.sin(angles)
        offset = sideways[..., None] * self.right[:, None] + upward[..., None] * self.up[:, None]
        return self.figure.head[:, None] + np.asarray(out)[..., None] * offset


def _wrapped(angle: np.ndarray) -> np.ndarray:
    return (angle + np.pi) % (2 * np.pi) - np.pi


def head(figure: Figure) -> Layer:
    """Ears, head, face and hair; each covers those before it."""
    skin, line = figure.appearance.skin, LINE * figure.unit
    egg = Egg(figure)
    cheek = np.radians(np.linspace(-75, 40, 7))
    cheek_shade = np.concatenate([egg.flat_curve(cheek, 1.0), egg.flat_curve(cheek[::-1], 0.8)], axis=1)
    shapes = [
        *_ears(egg, line),
        Shape(egg.flat_curve(CIRCLE, 1 + line / egg.tall), edge(skin)),
        Shape(egg.flat_curve(CIRCLE, 1.0), skin),
        Shape(cheek_shade, shade(skin, 0.88)),
        *_face(egg),
        *_hair(egg, line),
    ]
    return Layer(figure.head_depth + 0.03 * figure.unit, shapes)


def _ears(egg: Egg, line: float) -> list[Shape]:
    who = egg.figure.appearance
    if HAIRCUTS[who.hair_style].covers_ears:
        return []
    return [
        Shape(ellipse(center, (0.15 * egg.tall + grow) * egg.right, (0.22 * egg.tall + grow) * egg.up), color)
        for center in (egg.figure.body[:, points.LEFT_EAR], egg.figure.body[:, points.RIGHT_EAR])
        for grow, color in ((line, edge(who.skin)), (0.0, shade(who.skin, 0.92)))
    ]


def _face(egg: Egg) -> list[Shape]:
    """Eyes, brows, cheeks, nose and mouth. They get narrower toward the edge of the head and vanish there."""
    who, shapes = egg.figure.appearance, []
    red, green, blue = who.skin
    for side in (1, -1):
        shapes += [
            Shape(egg.patch(side * 0.44, 0.0, 0.2, 0.13), WHITE),
            Shape(egg.patch(side * 0.42, -0.01, 0.12, 0.14), DARK),
            Shape(egg.patch(side * 0.44, 0.27, 0.22, 0.035, slant=-0.14), shade(who.hair, 0.8)),
            Shape(egg.patch(side * 0.64, -0.34, 0.17, 0.1), (red * 0.97, green * 0.86, blue * 0.84)),
        ]
    shapes.append(Shape(egg.patch(0.0, -0.2, 0.085, 0.11, out=1.04), shade(who.skin, 0.8)))
    smile = np.array([-0.3, -0.15, 0.15, 0.3, 0.15, -0.15]), np.array([-0.5, -0.56, -0.56, -0.5, -0.66, -0.66])
    relative = np.clip(_wrapped(smile[0] - egg.yaw), -np.pi / 2, np.pi / 2)
    shapes.append(Shape(egg.at(relative + egg.yaw, smile[1]), (red * 0.72, green * 0.38, blue * 0.4)))
    return shapes


def _hair(egg: Egg, line: float) -> list[Shape]:
    """The hair on the skull, from the visible hairline up."""
    who = egg.figure.appearance
    haircut, color = HAIRCUTS[who.hair_style], who.pattern_color if who.hair_style == "cap" else who.hair
    grow = line / egg.tall
    gloss = np.radians(np.linspace(108, 140, 5))
    shapes = [
        Shape(_skull(egg, haircut, haircut.thickness + grow, grow), edge(color)),
        Shape(_skull(egg, haircut, haircut.thickness, 0.0), color),
        Shape(
            np.concatenate(
                [egg.flat_curve(gloss, 0.9 * haircut.thickness), egg.flat_curve(gloss[::-1], 0.76 * haircut.thickness)],
                axis=1,
            ),
            shade(color, 1.22),
        ),
    ]
    if who.hair_style == "bun":
        center = egg.figure.head + 1.12 * egg.tall * egg.up + 0.5 * egg.wide * np.sin(egg.yaw) * egg.right
        shapes += [
            Shape(disc(center, 0.36 * egg.tall + line), edge(color)),
            Shape(disc(center, 0.36 * egg.tall), color),
        ]
    if who.hair_style == "cap":
        shapes.append(Shape(egg.patch(0.0, np.radians(26), 0.8, 0.13, out=1.22), shade(color, 0.7)))
    return shapes


def _skull(egg: Egg, haircut: Haircut, thick: float, lower: float) -> np.ndarray:
    """The outline of the hair on the skull, (f, k, 2). lower: radians by which the hairline moves down."""
    views = np.radians(np.linspace(-90, 90, 13))
    ahead, side, behind = haircut.ahead, haircut.side, haircut.behind
    degrees = np.interp(
        np.degrees(np.abs(_wrapped(egg.yaw + views))),
        [0, 45, 75, 100, 140, 180],
        [ahead, 0.92 * ahead, 0.72 * side + 0.28 * ahead, side, behind, behind],
    )
    out = np.where(np.abs(views) > 1.2, thick, 1.02)
    hairline = egg.at(egg.yaw + views, np.radians(degrees) - lower, out)
    return np.concatenate([hairline, egg.flat_curve(np.radians(np.linspace(8, 172, 12)), thick)], axis=1)


def hair_behind(figure: Figure) -> Layer | None:
    """The hair that hangs behind the neck; None for short hair."""
    who, line = figure.appearance, LINE * figure.unit
    hanging = HAIRCUTS[who.hair_style].hanging
    if hanging is None:
        return None
    egg = Egg(figure)
    to_back = (0.9 if who.hair_style == "ponytail" else 0.35) * np.sin(egg.yaw) * egg.wide * egg.right
    center = (figure.head + to_back)[:, None]
    layer = Layer(figure.head_depth - 0.05 * figure.unit)
    for grow, tone in ((line, edge(who.hair)), (0.0, shade(who.hair, 0.86))):
        length, half = hanging[0] * egg.tall + grow, hanging[1] * egg.wide + grow
        across = half * np.array([-1, -0.96, -0.8, 0.8, 0.96, 1])[:, None] * egg.right[:, None]
        down = length * np.array([[0, 0], [0, 0.5], [0, 1], [0, 1], [0, 0.5], [0, 0]])
        layer.shapes.append(Shape(center + across + down, tone))
    return layer
