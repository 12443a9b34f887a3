"""Heads of the storybook cast: large eyes, rosy cheeks and a mouth."""

from __future__ import annotations

import numpy as np

from ...pose import keypoints as points
from ..people.appearance import Color
from ..people.bones import Place
from ..people.figure import Figure
from ..people.head import Egg
from ..people.shapes import CIRCLE, Layer, Shape, disc, shade
from .hair import HAIRSTYLES, hair_on_skull
from .shapes import LINE, outline_color

EYE_AZIMUTH, EYE_ELEVATION, NOSE_ELEVATION = 0.41, -0.12, -0.3  # of the dark part of the eye and of the nose
EYE, GLINT, BLUSH = (66.0, 50.0, 60.0), (235.0, 230.0, 232.0), (255.0, 90.0, 90.0)
LIPS_ON_LIGHT, LIPS_ON_DARK = (196.0, 84.0, 84.0), (226.0, 120.0, 112.0)
LIGHT_SKIN = 420  # sum of red, green and blue from which skin counts as light
EYES = {"tall": ((0.2, 0.25), (0.14, 0.2)), "round": ((0.23, 0.23), (0.165, 0.175))}
"""Half width and half height, in radians, of the whole eye and of the dark part."""
MOUTHS = {"smile": (0.25, 0.07, 0.19), "laugh": (0.22, 0.0, 0.27), "small": (0.13, 0.0, 0.17)}
"""Half width, and how far the middle of the upper and the lower lip hangs below the corners, in radians."""


def _on_surface(azimuth: float, elevation: float) -> Place:
    level = np.cos(elevation)
    return float(level * np.sin(azimuth)), float(-np.sin(elevation)), float(level * np.cos(azimuth))


FACE: dict[int, Place] = {
    points.NOSE: _on_surface(0, NOSE_ELEVATION),
    points.LEFT_EYE: _on_surface(EYE_AZIMUTH, EYE_ELEVATION),
    points.RIGHT_EYE: _on_surface(-EYE_AZIMUTH, EYE_ELEVATION),
    points.LEFT_EAR: (1.0, 0.16, -0.05),
    points.RIGHT_EAR: (-1.0, 0.16, -0.05),
}
"""The keypoints of the head, where they are drawn."""


def head(figure: Figure) -> Layer:
    """Ears, head, face and hair; each covers those before it."""
    skin, line = figure.appearance.skin, LINE * figure.unit
    egg = Egg(figure)
    shapes = [
        *_ears(egg, line),
        Shape(egg.flat_curve(CIRCLE, 1 + line / egg.tall), outline_color(skin)),
        Shape(egg.flat_curve(CIRCLE, 1.0), skin),
        *_face(egg),
        *hair_on_skull(egg),
    ]
    return Layer(figure.head_depth, shapes)


def _ears(egg: Egg, line: float) -> list[Shape]:
    who, body = egg.figure.appearance, egg.figure.body
    if HAIRSTYLES[who.hair_style].covers_ears:
        return []
    return [
        Shape(disc(body[:, ear], 0.2 * egg.tall + grow), color)
        for ear in (points.LEFT_EAR, points.RIGHT_EAR)
        for grow, color in ((line, outline_color(who.skin)), (0.0, shade(who.skin, 0.95)))
    ]


def _face(egg: Egg) -> list[Shape]:
    """Cheeks, eyes, nose and mouth. The white of the eyes is only a lighter skin, because contrast is hard to learn."""
    who, shapes = egg.figure.appearance, []
    eyes, mouth = who.face.split()
    (wide, tall), (dark_wide, dark_tall) = EYES[eyes]
    for side in (1, -1):
        dark, white = side * EYE_AZIMUTH, side * (EYE_AZIMUTH + 0.025)
        shapes += [
            Shape(egg.patch(side * 0.66, -0.44, 0.2, 0.13), _mixed(who.skin, BLUSH, 0.3)),
            Shape(egg.patch(white, EYE_ELEVATION + 0.02, wide, tall), _mixed(who.skin, (250, 250, 250), 0.55)),
            Shape(egg.patch(dark, EYE_ELEVATION, dark_wide, dark_tall), EYE),
            Shape(egg.patch(dark - 0.05, EYE_ELEVATION + 0.1, 0.05, 0.06), GLINT),
        ]
    shapes.append(Shape(egg.patch(0.0, NOSE_ELEVATION, 0.07, 0.06), shade(who.skin, 0.84)))
    return [*shapes, Shape(_mouth(egg, *MOUTHS[mouth]), LIPS_ON_LIGHT if sum(who.skin) > LIGHT_SKIN else LIPS_ON_DARK)]


def _mouth(egg: Egg, wide: float, upper: float, lower: float) -> np.ndarray:
    """The outline of the mouth, (f, k, 2)."""
    across = np.linspace(-1, 1, 11)
    bow = 1 - across**2
    azimuths = wide * np.concatenate([across, across[::-1]])
    return egg.at(azimuths, -0.5 - np.concatenate([upper * bow, lower * np.sqrt(bow)]))


def _mixed(first: Color, second: Color, share: float) -> Color:
    """share: of the second color."""
    red, green, blue = ((1 - share) * one + share * other for one, other in zip(first, second, strict=True))
    return red, green, blue
