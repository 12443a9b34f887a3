"""Arms with hands and sleeves, legs with trouser legs and shoes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .appearance import Appearance, Color
from .bones import ARMS, LEGS
from .figure import LINE, Figure
from .shapes import Layer, Shape, band, between, capsule, disc, edge, shade, shaded_side

# Radii, in units of the standing height.
SHOULDER, ELBOW, WRIST = 0.031, 0.0235, 0.017
HIP, KNEE, ANKLE, CALF = 0.05, 0.037, 0.025, 0.008
SLEEVE, TROUSERS = 1.16, 1.12  # radius of the cloth, in radii of the limb


@dataclass(frozen=True)
class Segment:
    """The part of a limb between two points, (f, 2) each; radii in pixels."""

    start: np.ndarray
    end: np.ndarray
    start_radius: float
    end_radius: float
    belly: float = 0.0

    def upto(self, share: float, looser: float = 1.0) -> Segment:
        radius = self.start_radius + (self.end_radius - self.start_radius) * share
        return Segment(
            self.start,
            between(self.start, self.end, share),
            self.start_radius * looser,
            radius * looser,
            self.belly * min(1.0, share * 1.4),
        )

    def shape(self, color: Color, wider: float = 0.0) -> Shape:
        return Shape(
            capsule(self.start, self.end, self.start_radius + wider, self.end_radius + wider, self.belly), color
        )

    def shading(self, color: Color) -> Shape:
        return Shape(shaded_side(self.start, self.end, self.start_radius, self.end_radius), shade(color, 0.84))


def arm(figure: Figure, side: int) -> Layer:
    who, unit = figure.appearance, figure.unit * figure.appearance.proportions.girth
    shoulder, elbow, wrist = (figure.body[:, joint] for joint in ARMS[side])
    upper = Segment(shoulder, elbow, SHOULDER * unit, ELBOW * unit)
    lower = Segment(elbow, wrist, ELBOW * unit, WRIST * unit)
    line = LINE * figure.unit
    depth = figure.body_depth[:, list(ARMS[side])] @ np.array([0.2, 0.4, 0.4]) + 0.045 * figure.unit
    layer = Layer(depth)
    layer.shapes += [*_hand(figure, side, line), upper.shape(edge(who.skin), line), lower.shape(edge(who.skin), line)]
    layer.shapes += [upper.shape(who.skin), upper.shading(who.skin), lower.shape(who.skin), lower.shading(who.skin)]
    if who.top == "sleeveless":
        return layer
    cloth = who.top_color
    if who.top == "short sleeves":
        parts = [upper.upto(0.62, SLEEVE)]
    else:
        parts = [upper.upto(1.0, SLEEVE), lower.upto(0.9, SLEEVE)]
    layer.shapes += [part.shape(edge(cloth), line) for part in parts]
    for part in parts:
        layer.shapes += [part.shape(cloth), part.shading(cloth), *_sleeve_pattern(who, part)]
    return layer


def _sleeve_pattern(who: Appearance, part: Segment) -> list[Shape]:
    if who.pattern not in ("stripes", "checks", "halves"):
        return []
    shares = {"stripes": (0.16, 0.5, 0.84), "checks": (0.3, 0.75), "halves": (0.7,)}[who.pattern]
    width = 0.3 if who.pattern == "halves" else 0.15
    ends = part.start, part.end, part.start_radius, part.end_radius
    bands = [band(*ends, share - width / 2, share + width / 2) for share in shares]
    return [Shape(np.stack(bands, axis=1), who.pattern_color)]


def _hand(figure: Figure, side: int, line: float) -> list[Shape]:
    """Fingers as strokes; the palm as the shape between wrist and knuckles."""
    skin, hand = figure.appearance.skin, figure.hands[:, side]
    size = figure.appearance.proportions.hand * figure.unit
    palm = hand[:, [0, 5, 9, 13, 17]]
    middle = palm.mean(1)
    larger = middle[:, None] + 1.2 * (palm - middle[:, None])
    fingers, thickness = hand[:, 1:].reshape(-1, 5, 4, 2), 0.19 * size
    first, last = np.concatenate([hand[:, :1], hand[:, 1:4]], axis=1), fingers[:, 1:]
    thumb, others = Shape(first, shade(skin, 0.94), thickness), Shape(last, shade(skin, 0.97), thickness)
    return [
        Shape(first, edge(skin), thickness + 1.6 * line),
        Shape(last, edge(skin), thickness + 1.6 * line),
        Shape(disc(middle, 0.27 * size + line), edge(skin)),
        Shape(larger, skin),
        Shape(disc(middle, 0.27 * size), skin),
        others,
        thumb,
    ]


def leg(figure: Figure, side: int) -> Layer:
    who, unit = figure.appearance, figure.unit * figure.appearance.proportions.girth
    hip, knee, ankle = (figure.body[:, joint] for joint in LEGS[side][:3])
    thigh = Segment(hip, knee, HIP * unit, KNEE * unit)
    shin = Segment(knee, ankle, KNEE * unit, ANKLE * unit, CALF * unit)
    line = LINE * figure.unit
    layer = Layer(figure.depth_of(*LEGS[side][1:3]))
    skin = shade(who.bottom_color, 1.0) if who.bottom == "leggings" else who.skin
    layer.shapes += [thigh.shape(edge(skin), line), shin.shape(edge(skin), line), *_shoe(figure, side, line)]
    layer.shapes += [thigh.shape(skin), thigh.shading(skin), shin.shape(skin), shin.shading(skin)]
    if who.bottom in ("skirt", "leggings"):
        return layer
    cloth = who.bottom_color
    if who.bottom == "shorts":
        parts = [thigh.upto(0.72, TROUSERS)]
    else:
        parts = [thigh.upto(1.0, TROUSERS), shin.upto(0.9, TROUSERS)]
    layer.shapes += [part.shape(edge(cloth), line) for part in parts]
    for part in parts:
        layer.shapes += [part.shape(cloth), part.shading(cloth)]
    return layer


def _shoe(figure: Figure, side: int, line: float) -> list[Shape]:
    """A sole and the shoe above it, from the heel to the toe."""
    color, unit = figure.appearance.shoes, figure.unit * figure.appearance.proportions.girth**0.5
    ankle, toe = figure.body[:, LEGS[side][2]], figure.body[:, LEGS[side][3]]
    heel = figure.heels[:, side]
    down = np.array([0, 0.010 * unit])
    radius = 0.0235 * unit
    return [
        Shape(capsule(heel, toe, radius + line, radius * 1.1 + line), edge(color)),
        Shape(capsule(ankle, between(heel, toe, 0.45), 0.03 * unit + line, radius + line), edge(color)),
        Shape(
            capsule(heel + down, toe + down, radius * 0.9, radius),
            shade(color, 1.7) if sum(color) < 500 else shade(color, 0.7),
        ),
        Shape(capsule(ankle, between(heel, toe, 0.45), 0.03 * unit, radius), color),
        Shape(capsule(heel, toe, radius * 0.85, radius), color),
        Shape(disc(toe - np.array([0.004, 0.006]) * unit, radius * 0.55), shade(color, 1.18)),
    ]
