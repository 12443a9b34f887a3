"""Proportions, hair, clothes and colors of one character."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..world import PATTERNS, Split, WorldSettings, random_cell

Color = tuple[float, float, float]

SKINS: tuple[Color, ...] = (
    *((255, 224, 196), (246, 205, 172), (232, 184, 146), (214, 160, 120)),
    *((188, 130, 92), (156, 102, 70), (120, 76, 52), (92, 58, 42)),
)
HAIR_COLORS: tuple[Color, ...] = (
    *((34, 28, 30), (66, 44, 34), (110, 70, 42), (150, 98, 52), (206, 158, 84), (232, 200, 134)),
    *((168, 62, 36), (150, 150, 156), (96, 66, 132), (206, 92, 130)),
)
HAIR_STYLES = ("short", "bob", "long", "ponytail", "bun", "curly", "shaven", "cap")
TOPS = ("short sleeves", "long sleeves", "sleeveless", "jacket")
BOTTOMS = ("trousers", "shorts", "skirt", "leggings")
CLOTH: tuple[Color, ...] = (
    *((206, 62, 64), (226, 122, 52), (236, 190, 70), (150, 184, 72), (62, 146, 92), (44, 150, 156), (70, 132, 206)),
    *((66, 80, 158), (124, 84, 168), (206, 92, 152), (238, 236, 228), (150, 154, 160), (70, 74, 84), (134, 92, 66)),
)
SHOES: tuple[Color, ...] = (
    *((48, 46, 52), (240, 240, 236), (120, 78, 52), (196, 58, 58), (60, 92, 160), (236, 180, 60)),
)


@dataclass(frozen=True)
class Proportions:
    """Lengths in units of the standing height: distances between joints, half widths of the trunk, radii of limbs."""

    head: float  # half of its height
    head_width: float  # as a share of its height
    neck: float
    spine: float  # hips to neck joint
    shoulders: float  # half of their distance
    hips: float
    upper_arm: float
    forearm: float
    hand: float
    thigh: float
    shin: float
    ankle: float  # above the ground
    foot: float
    girth: float  # thickness of limbs and trunk, 1 on average


@dataclass(frozen=True)
class Appearance:
    """Everything about a character that does not move. height: in units of an adult's height; children are smaller."""

    cell: tuple[int, ...]
    proportions: Proportions
    height: float
    skin: Color
    hair_style: str
    hair: Color
    top: str
    pattern: str
    top_color: Color
    pattern_color: Color
    bottom: str
    bottom_color: Color
    shoes: Color
    extra: float  # 0..1, decides small details: number of stripes, size of the motif
    face: str = ""  # eyes and mouth; only storybook characters have several


def random_appearance(random: np.random.Generator, split: Split, settings: WorldSettings) -> Appearance:
    """A random character of the split."""
    patterns = [PATTERNS.index(name) for name in settings.patterns]
    counts = (SKINS, HAIR_STYLES, HAIR_COLORS, TOPS, CLOTH, BOTTOMS, CLOTH, SHOES)
    cell = random_cell(random, split, [patterns, *(range(len(kinds)) for kinds in counts)])
    pattern, skin, hair_style, hair, top, top_color, bottom, bottom_color, shoes = cell
    other = (top_color + 1 + int(random.integers(len(CLOTH) - 1))) % len(CLOTH)
    child = random.random() < settings.child_share
    return Appearance(
        cell=cell,
        proportions=random_proportions(random, child),
        height=random.uniform(0.66, 0.8) if child else random.uniform(0.93, 1.0),
        skin=SKINS[skin],
        hair_style=HAIR_STYLES[hair_style],
        hair=HAIR_COLORS[hair],
        top=TOPS[top],
        pattern=PATTERNS[pattern],
        top_color=CLOTH[top_color],
        pattern_color=CLOTH[other],
        bottom=BOTTOMS[bottom],
        bottom_color=CLOTH[bottom_color],
        shoes=SHOES[shoes],
        extra=random.random(),
    )


def random_proportions(random: np.random.Generator, child: bool) -> Proportions:
    """Proportions of an adult or a child; each length differs from the usual one by up to 8 %."""
    usual = CHILD if child else ADULT
    lengths = {name: length * random.uniform(0.92, 1.08) for name, length in vars(usual).items()}
    lengths["girth"] = random.uniform(0.86, 1.22)
    return Proportions(**lengths)


ADULT = Proportions(
    head=0.078, head_width=0.82, neck=0.088, spine=0.275, shoulders=0.102, hips=0.056, upper_arm=0.158, forearm=0.138,
    hand=0.088, thigh=0.235, shin=0.23, ankle=0.042, foot=0.105, girth=1.0,
)  # fmt: skip
CHILD = Proportions(
    head=0.112, head_width=0.88, neck=0.112, spine=0.262, shoulders=0.098, hips=0.06, upper_arm=0.142, forearm=0.124,
    hand=0.082, thigh=0.192, shin=0.188, ankle=0.045, foot=0.105, girth=1.12,
)  # fmt: skip
