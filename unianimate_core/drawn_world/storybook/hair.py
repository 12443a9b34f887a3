"""Hairstyles of the storybook cast: what lies on the skull, and what hangs behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..people.figure import Figure
from ..people.head import Egg
from ..people.shapes import Layer, Shape, disc, ellipse, shade
from .shapes import LINE, outline_color

Line = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Hairstyle:
    """line: azimuth and elevation in degrees of points on the hair's lower edge; thickness: in radii of the head.

    bumps: number on the outer edge, and height in radii of the head.
    """

    line: Line
    thickness: float
    bumps: tuple[int, float] = (0, 0.0)
    covers_ears: bool = False


def _symmetric(*line: tuple[float, float]) -> Line:
    """A line that is the same on both sides. line: its points from azimuth 0 on."""
    return tuple((-azimuth, elevation) for azimuth, elevation in reversed(line) if azimuth) + line


HAIRSTYLES = {
    "short": Hairstyle(
        ((-180, -40), (-100, -6), (-78, -2), (-66, 16), (-30, 32), (22, 42), (40, 24), (64, 12), (78, -2), (100, -6),
         (180, -40)), 1.1,
    ),
    "bob": Hairstyle(
        _symmetric((0, 24), (36, 22), (48, 12), (56, -30), (90, -34), (180, -70)), 1.12, covers_ears=True,
    ),
    "long": Hairstyle(
        _symmetric((0, 44), (22, 34), (48, 14), (60, -24), (90, -30), (180, -70)), 1.1, covers_ears=True,
    ),
    "pigtails": Hairstyle(_symmetric((0, 40), (30, 28), (60, 14), (78, 0), (100, -10), (180, -40)), 1.08),
    "bun": Hairstyle(_symmetric((0, 30), (40, 28), (62, 16), (78, 2), (100, -6), (180, -40)), 1.07),
    "curly": Hairstyle(
        _symmetric((0, 28), (38, 24), (54, 8), (62, -14), (90, -20), (180, -60)), 1.16, (8, 0.13), covers_ears=True,
    ),
    "spiky": Hairstyle(
        _symmetric((0, 18), (14, 32), (28, 16), (42, 30), (56, 10), (68, 20), (80, -6), (100, -6), (180, -40)),
        1.14, (7, 0.1),
    ),
}  # fmt: skip


def hair_on_skull(egg: Egg) -> list[Shape]:
    """The hair from the visible hairline up, with a gloss, and the bun."""
    who, line = egg.figure.appearance, LINE * egg.figure.unit
    style, shapes = HAIRSTYLES[who.hair_style], []
    edge = outline_color(who.hair)
    if who.hair_style == "bun":
        center = egg.figure.head + 1.16 * egg.tall * egg.up
        shapes += [Shape(disc(center, 0.42 * egg.tall + line), edge), Shape(disc(center, 0.42 * egg.tall), who.hair)]
    gloss = np.radians(np.linspace(104, 142, 6))
    return [
        *shapes,
        Shape(_skull(egg, style, line / egg.tall), edge),
        Shape(_skull(egg, style, 0.0), who.hair),
        Shape(
            np.concatenate([egg.flat_curve(gloss, 0.9), egg.flat_curve(gloss[::-1], 0.74)], axis=1),
            shade(who.hair, 1.2),
        ),
    ]


def _skull(egg: Egg, style: Hairstyle, grow: float) -> np.ndarray:
    """The outline of the hair on the skull, (f, k, 2). grow: radii by which it is larger."""
    views = np.radians(np.linspace(-90, 90, 37))
    azimuths = np.degrees((egg.yaw + views + np.pi) % (2 * np.pi) - np.pi)
    elevations = np.radians(np.interp(azimuths, *np.array(style.line).T)) - grow
    thick = style.thickness + grow
    sideways = np.clip((np.abs(views) - 1.0) / (np.pi / 2 - 1.0), 0, 1)
    hairline = egg.at(egg.yaw + views, elevations, 1.0 + (thick - 1.0) * sideways)
    share = np.linspace(0, 1, 65)
    angles = elevations[:, -1:] + share * (np.pi - elevations[:, :1] - elevations[:, -1:])
    count, high = style.bumps
    return np.concatenate([hairline, egg.flat_curve(angles, thick + high * np.abs(np.sin(np.pi * count * share)))], 1)


def hair_behind(figure: Figure) -> Layer | None:
    """The hair behind head and neck; None for styles that have none."""
    who = figure.appearance
    outlines = _BEHIND.get(who.hair_style)
    if outlines is None:
        return None
    egg = Egg(figure)
    edges, fills = outlines(egg, LINE * figure.unit), outlines(egg, 0.0)
    shapes = [Shape(edge, outline_color(who.hair)) for edge in edges]
    return Layer(figure.head_depth, [*shapes, *(Shape(fill, shade(who.hair, 0.9)) for fill in fills)])


def _bob(egg: Egg, wider: float) -> list[np.ndarray]:
    center = _back(egg) - 0.12 * egg.tall * egg.up
    return [ellipse(center, (1.16 * egg.wide + wider) * egg.right, (1.06 * egg.tall + wider) * egg.up)]


def _long(egg: Egg, wider: float) -> list[np.ndarray]:
    half, length = 1.12 * egg.wide + wider, 1.75 * egg.tall + wider
    widths = np.array([0.9, 0.98, 1.04, 1.06, 0.98, 0.7, 0.0])
    down = np.array([0.0, 0.3, 0.55, 0.78, 0.92, 0.99, 1.0])
    across = half * np.concatenate([-widths, widths[::-1]])[:, None] * egg.right[:, None]
    return [_back(egg)[:, None] + across - length * np.concatenate([down, down[::-1]])[:, None] * egg.up[:, None]]


def _pigtails(egg: Egg, wider: float) -> list[np.ndarray]:
    return [
        ellipse(
            _back(egg) + side * 1.26 * egg.wide * egg.right - 0.2 * egg.tall * egg.up,
            (0.36 * egg.wide + wider) * (egg.right + 0.2 * side * egg.up),
            (0.56 * egg.tall + wider) * (egg.up - 0.3 * side * egg.right),
        )
        for side in (1, -1)
    ]


def _back(egg: Egg) -> np.ndarray:
    """The middle of the back of the head, (f, 2)."""
    return egg.figure.head + 0.3 * np.sin(egg.yaw) * egg.wide * egg.right


_BEHIND: dict[str, Callable[[Egg, float], list[np.ndarray]]] = {"bob": _bob, "long": _long, "pigtails": _pigtails}
