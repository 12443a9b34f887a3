"""Which conditions each training clip keeps.

Source: UniAnimate, section 3.2, training and inference.
"""

from __future__ import annotations

import numpy as np

from ..settings import TrainingSettings

DROPPABLE = ("image", "pose", "reference", "reference_pose", "first_frame")


def draw_kept_conditions(random: np.random.Generator, settings: TrainingSettings) -> dict[str, bool]:
    """Whether a clip keeps each condition: every one, none, or each by its own chance."""
    share, chances = random.random(), random.random(len(DROPPABLE))
    if share < settings.all_dropped:
        return dict.fromkeys(DROPPABLE, False)
    if share < settings.all_dropped + settings.all_kept:
        return dict.fromkeys(DROPPABLE, True)
    drops = dict.fromkeys(DROPPABLE, settings.condition_drop) | {"first_frame": settings.first_frame_drop}
    return {name: bool(chance >= drops[name]) for name, chance in zip(DROPPABLE, chances, strict=True)}
