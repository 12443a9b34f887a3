"""The order in which the parts of a person are painted, and the steps that draw `people`."""

from __future__ import annotations

import numpy as np

from ..cast import Cast, Margins
from .appearance import random_appearance
from .backgrounds import random_background
from .bones import FACE
from .figure import Figure
from .ground import cast_shadow
from .head import hair_behind, head
from .limbs import arm, leg
from .motion import random_motion
from .shapes import Layer
from .trunk import skirt, trunk


def layers(figure: Figure) -> list[Layer]:
    """All parts; their depths decide which covers which."""
    legs, body = [leg(figure, side) for side in (0, 1)], trunk(figure)
    parts = [*legs, body, *(arm(figure, side) for side in (0, 1)), head(figure)]
    if figure.appearance.bottom == "skirt":
        parts.append(skirt(figure, np.maximum(legs[0].depth, legs[1].depth)))
    if (hair := hair_behind(figure)) is not None:
        hair.depth = np.minimum(hair.depth, body.depth - 0.01 * figure.unit)
        parts.insert(0, hair)
    return parts


PEOPLE = Cast(
    random_appearance, random_motion, random_background, layers, cast_shadow, FACE, Margins(0.02, 1.25, 0.03, rare=2)
)
