"""Proportions, hair, clothes and colors of one storybook character."""

from __future__ import annotations

import numpy as np

from ..people.appearance import Appearance, Color, Proportions
from ..world import PATTERNS, Split, WorldSettings, random_cell

SKINS: tuple[Color, ...] = (
    *((248, 220, 200), (244, 204, 172), (228, 180, 142)),
    *((204, 148, 112), (170, 118, 88), (138, 96, 74)),
)
HAIR_COLORS: tuple[Color, ...] = (
    *((88, 74, 80), (118, 84, 68), (164, 114, 78), (234, 196, 116)),
    *((214, 118, 78), (184, 184, 194), (142, 114, 184), (226, 134, 164)),
)
HAIR_STYLES = ("short", "bob", "long", "pigtails", "bun", "curly", "spiky")
FACES = ("tall smile", "tall laugh", "round smile", "round laugh", "round small")
"""Eyes and mouth."""
OUTFITS = (
    ("tee", "shorts"),
    ("tee", "skirt"),
    ("pullover", "trousers"),
    ("dungarees", "trousers"),
    ("dress", "dress"),
    ("coat", "trousers"),
)
"""Top and bottom of each garment shape."""
CLOTH: tuple[Color, ...] = (
    *((222, 106, 100), (238, 160, 92), (240, 206, 108), (144, 194, 112), (80, 162, 138)),
    *((98, 182, 206), (98, 134, 206), (154, 122, 198), (230, 142, 176), (112, 112, 132)),
)
SHOES: tuple[Color, ...] = ((104, 96, 108), (200, 96, 92), (88, 120, 182), (218, 172, 88), (238, 234, 226))

USUAL = Proportions(
    head=0.172, head_width=1.02, neck=0.158, spine=0.235, shoulders=0.093, hips=0.054, upper_arm=0.108, forearm=0.09,
    hand=0.08, thigh=0.158, shin=0.152, ankle=0.048, foot=0.125, girth=1.0,
)  # fmt: skip


def random_appearance(random: np.random.Generator, split: Split, settings: WorldSettings) -> Appearance:
    """A random character of the split. Top and bottom always differ in color."""
    patterns = [PATTERNS.index(name) for name in settings.patterns]
    counts = (SKINS, FACES, HAIR_STYLES, HAIR_COLORS, OUTFITS, CLOTH, CLOTH, SHOES)
    while True:
        cell = random_cell(random, split, [patterns, *(range(len(kinds)) for kinds in counts)])
        pattern, skin, face, hair_style, hair, outfit, top_color, bottom_color, shoes = cell
        if top_color != bottom_color:
            break
    others = [color for index, color in enumerate(CLOTH) if index not in (top_color, bottom_color)]
    top, bottom = OUTFITS[outfit]
    bottom_color = top_color if bottom == "dress" else bottom_color
    return Appearance(
        cell=cell,
        proportions=_random_proportions(random),
        height=random.uniform(0.92, 1.0),
        skin=SKINS[skin],
        hair_style=HAIR_STYLES[hair_style],
        hair=HAIR_COLORS[hair],
        top=top,
        pattern=PATTERNS[pattern],
        top_color=CLOTH[top_color],
        pattern_color=others[int(random.integers(len(others)))],
        bottom=bottom,
        bottom_color=CLOTH[bottom_color],
        shoes=SHOES[shoes],
        extra=random.random(),
        face=FACES[face],
    )


def _random_proportions(random: np.random.Generator) -> Proportions:
    lengths = {name: length * random.uniform(0.95, 1.05) for name, length in vars(USUAL).items()}
    return Proportions(**lengths | {"girth": random.uniform(0.92, 1.1)})
