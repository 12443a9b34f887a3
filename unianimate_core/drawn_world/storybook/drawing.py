"""The order in which the parts of a storybook character are painted, and its shadow."""

from __future__ import annotations

import numpy as np

from ...pose import keypoints as points
from ..cast import Cast, Margins
from ..people.figure import Figure
from ..people.shapes import Layer
from .appearance import random_appearance
from .backgrounds import darken_ground, random_background
from .body import arm, hips, leg, skirt, trunk
from .hair import hair_behind
from .head import FACE, head
from .motion import random_motion


def layers(figure: Figure) -> list[Layer]:
    """All parts. Only the legs change places, so that nothing jumps to the front within a clip."""
    legs = [leg(figure, side) for side in (0, 1)]
    for layer in legs:
        layer.depth = 2 + 0.5 * np.tanh(layer.depth / figure.unit)
    others = [
        (0, hair_behind(figure)),
        (1, hips(figure)),
        (3, trunk(figure)),
        (4, skirt(figure)),
        (5, arm(figure, 0)),
        (6, arm(figure, 1)),
        (7, head(figure)),
    ]
    parts = legs
    for place, layer in others:
        if layer is not None:
            layer.depth = np.full(len(figure.body), float(place))
            parts.append(layer)
    return parts


def cast_shadow(canvas: np.ndarray, figure: Figure, frame: int) -> None:
    """Darkens the ground below the feet of this frame; less of it while they are in the air."""
    feet = np.concatenate([figure.body[frame, [points.LEFT_ANKLE, points.RIGHT_ANKLE]], figure.heels[frame]])
    darken_ground(canvas, feet, figure.ground, figure.unit)


STORYBOOK = Cast(
    random_appearance, random_motion, random_background, layers, cast_shadow, FACE, Margins(0.045, 1.6, 0.04, 1.7)
)
