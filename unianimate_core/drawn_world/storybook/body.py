"""Trunk, arms and legs of the storybook cast with their clothes."""

from __future__ import annotations

import numpy as np

from ...pose import keypoints as points
from ..people.bones import ARMS, LEGS
from ..people.figure import Figure
from ..people.limbs import Segment
from ..people.shapes import Layer, Shape, between, capsule, disc, shade
from ..people.trunk import Tube, hulls
from .shapes import LINE, outline_color, outlined

# Radii, in units of the standing height.
SHOULDER, ELBOW, WRIST, HAND, THUMB = 0.045, 0.042, 0.037, 0.044, 0.02
HIP, KNEE, ANKLE, SHOE = 0.056, 0.053, 0.045, 0.046
LOOSE = 1.12  # radius of the cloth, in radii of the limb
# Half width and half depth of the trunk at the RINGS of people.trunk, in units of the height.
WIDTHS = np.array([0.08, 0.114, 0.116, 0.108, 0.102, 0.098, 0.084, 0.05])
DEPTHS = np.array([0.06, 0.084, 0.084, 0.08, 0.076, 0.07, 0.06, 0.04])
HEM, TOP_OF_TRUNK = 0.02, 1.03  # shares of the spine
SLEEVES = {"pullover": 1.74, "coat": 1.74, "tee": 0.62, "dungarees": 0.62, "dress": 0.4}
"""Length: 1 ends at the elbow, 2 at the wrist."""
SKIRTS = {"skirt": (0.85, 0.085, 0.2), "dress": (1.05, 0.095, 0.3), "coat": (0.6, 0.082, 0.2)}
"""Length as a share of the thigh, radius of the rim in units of the height, upper edge as a share of the spine."""


def arm(figure: Figure, side: int) -> Layer:
    """The arm with a mitten of a hand, and the sleeve, which joins the top without a line."""
    who, line = figure.appearance, LINE * figure.unit
    unit = figure.unit * who.proportions.girth
    shoulder, elbow, wrist = (figure.body[:, joint] for joint in ARMS[side])
    upper = Segment(shoulder, elbow, SHOULDER * unit, ELBOW * unit)
    lower = Segment(elbow, wrist, ELBOW * unit, WRIST * unit)
    hand, length = _hand(figure.hands[:, side], unit), SLEEVES[who.top]
    if length > 1:
        shapes = outlined([upper.upto(1.0, LOOSE), lower.upto(length - 1, LOOSE)], who.top_color, line)
        shapes += outlined(hand, who.skin, line)
    else:
        shapes = outlined([upper, lower, *hand], who.skin, line)
        shapes += outlined([upper.upto(length, LOOSE)], who.top_color, line)
    joint = disc(between(shoulder, figure.body[:, points.NECK], 0.3), 0.92 * SHOULDER * LOOSE * unit)
    shapes.append(Shape(joint, who.top_color))
    return Layer(figure.depth_of(*ARMS[side]), shapes)


def _hand(hand: np.ndarray, unit: float) -> tuple[Segment, Segment]:
    """Palm and fingers as one, and the thumb. hand: (f, 21, 2)."""
    fingers = hand[:, [6, 7, 10, 11, 14, 15, 18, 19]].mean(1)
    middle = between(hand[:, 0], fingers, 0.72)
    palm = Segment(between(hand[:, 0], middle, 0.3), middle, HAND * unit, HAND * unit)
    return palm, Segment(hand[:, 1], hand[:, 4], THUMB * unit, THUMB * unit)


def leg(figure: Figure, side: int) -> Layer:
    """The bare leg, the shoe, and the leg of trousers or shorts."""
    who, line = figure.appearance, LINE * figure.unit
    unit = figure.unit * who.proportions.girth
    hip, knee, ankle, toe = (figure.body[:, joint] for joint in LEGS[side])
    heel, shoe = figure.heels[:, side], SHOE * unit
    thigh, shin = Segment(hip, knee, HIP * unit, KNEE * unit), Segment(knee, ankle, KNEE * unit, ANKLE * unit)
    parts = [Segment(ankle, between(heel, toe, 0.5), shoe, shoe), Segment(heel, toe, shoe, 1.05 * shoe)]
    cloth = {"trousers": [thigh.upto(1.0, LOOSE), shin.upto(0.82, LOOSE)], "shorts": [thigh.upto(0.8, 1.05 * LOOSE)]}
    shapes = [
        *outlined([thigh, shin], who.skin, line),
        *outlined(parts, who.shoes, line),
        *outlined(cloth.get(who.bottom, []), who.bottom_color, line),
    ]
    return Layer(figure.depth_of(*LEGS[side][1:3]), shapes)


def hips(figure: Figure) -> Layer:
    """The outline of the hips, which lies behind the legs."""
    outline = Tube(figure, WIDTHS, DEPTHS).outline(-0.16, 0.2, LINE * figure.unit)
    return Layer(figure.depth_of(points.NECK), [Shape(outline, outline_color(figure.appearance.bottom_color))])


def trunk(figure: Figure) -> Layer:
    """Neck, the upper part of the bottom, the top, and what is on it in another color."""
    who, line = figure.appearance, LINE * figure.unit
    tube = Tube(figure, WIDTHS, DEPTHS)
    radius = 0.04 * figure.unit
    shapes = [
        Shape(tube.outline(HEM - 0.03, TOP_OF_TRUNK, line), outline_color(who.top_color)),
        Shape(capsule(tube.neck, between(tube.neck, figure.head, 0.5), radius, radius), shade(who.skin, 0.84)),
        Shape(tube.outline(-0.16, HEM + 0.02), who.bottom_color),
        Shape(tube.outline(HEM, TOP_OF_TRUNK), who.top_color),
    ]
    if who.top == "dungarees":
        shapes += _bib(tube, line)
    elif who.pattern == "halves":
        first, last = (0.3, 0.62) if who.extra > 0.5 else (HEM, 0.42)
        shapes.append(Shape(tube.ring(first, last), who.pattern_color))
    return Layer(figure.depth_of(points.NECK), shapes)


def _bib(tube: Tube, line: float) -> list[Shape]:
    """Waist, bib and straps of dungarees."""
    color = tube.figure.appearance.bottom_color
    straps = [tube.at([0.5, 0.5, 1.0, 1.0], np.array([0.66, 0.3, 0.5, 1.1]) * side) for side in (-1, 1)]
    return [
        Shape(tube.outline(0.0, 0.22, line), outline_color(color)),
        Shape(tube.outline(-0.16, 0.22), color),
        Shape(tube.patch(0.2, 0.54, -0.66, 0.66), color),
        Shape(np.stack(straps, axis=1), color),
    ]


def skirt(figure: Figure) -> Layer | None:
    """A skirt, or the lower part of a dress or coat: a hull around hips and thighs. None for other clothes."""
    who, line = figure.appearance, LINE * figure.unit
    kind = "coat" if who.top == "coat" else who.bottom
    if kind not in SKIRTS:
        return None
    length, radius, top = SKIRTS[kind]
    color = who.top_color if kind == "coat" else who.bottom_color
    radius, tube = radius * figure.unit * who.proportions.girth, Tube(figure, WIDTHS, DEPTHS)
    knees = [between(figure.body[:, hip], figure.body[:, knee], length)[:, None] for hip, knee, *_ in LEGS]
    angles = np.radians(np.arange(0, 360, 20))
    rim = np.stack([np.cos(angles), 0.4 * np.sin(angles)], axis=-1)

    def hull(wider: float) -> np.ndarray:
        return hulls(
            np.concatenate([tube.outline(0.0, top, wider), *(knee + (radius + wider) * rim for knee in knees)], 1)
        )

    return Layer(figure.depth_of(points.NECK), [Shape(hull(line), outline_color(color)), Shape(hull(0.0), color)])
