"""What occurs in the drawn world, and how it is divided into disjoint splits.

A character is a combination of attributes (skin, hair, clothes, colors). A motion is a combination of parameters
(family, tempo, reach, heading). Each combination is a cell: one index per attribute. The sum of the indices modulo 10
assigns the cell to a split: 0 validation, 1 test, otherwise training. So every single attribute occurs in all splits,
and no combination occurs in two. Each split also has its own stream of random numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

CastName = Literal["people", "storybook"]
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

BACKGROUNDS = ("plain", "gradient", "textured")
PATTERNS = ("plain", "stripes", "bars", "checks", "dots", "motif", "halves")
MOTIONS = ("wave", "walk", "dance", "squat", "turn", "lean", "jump", "box", "kick", "gesture")
SEATED_MOTIONS = ("wave", "turn", "lean", "box", "gesture")
"""Motions that a seated person can do."""
STORYBOOK_MOTIONS = ("wave", "walk", "dance", "squat", "jump", "circle", "balance", "kick", "cheer")

OFFERS: dict[str, dict[str, Any]] = {
    "people": {
        "backgrounds": BACKGROUNDS,
        "patterns": PATTERNS,
        "motions": MOTIONS,
        "seated_share": 0.12,
        "small_share": 0.12,
        "child_share": 0.25,
        "largest_heading": 40.0,
    },
    "storybook": {
        "backgrounds": ("plain", "gradient"),
        "patterns": ("plain", "halves"),
        "motions": STORYBOOK_MOTIONS,
        "seated_share": 0.0,
        "small_share": 0.0,
        "child_share": 0.0,
        "largest_heading": 12.0,
    },
}
"""What each cast offers, which is what occurs unless settings choose."""

RESIDUES = 10
_STREAM = 0x5EED


@dataclass(frozen=True)
class WorldSettings:
    """What occurs in the clips. Everything that is left out is all that the cast offers.

    cast: "people" (the whole world), or "storybook", round characters with large heads that small networks can learn.
    backgrounds, patterns (of clothes), motions: the kinds that occur; see OFFERS.
    seated_share, small_share, child_share: shares of the clips, 0..1. Small people fill about half of the canvas.
    largest_heading: how far a person may face away from the viewer, 0..60 degrees; motions of "people" add to it.
    """

    cast: CastName = "people"
    backgrounds: tuple[str, ...] = None  # pyright: ignore[reportAssignmentType]
    patterns: tuple[str, ...] = None  # pyright: ignore[reportAssignmentType]
    motions: tuple[str, ...] = None  # pyright: ignore[reportAssignmentType]
    seated_share: float = None  # pyright: ignore[reportAssignmentType]
    small_share: float = None  # pyright: ignore[reportAssignmentType]
    child_share: float = None  # pyright: ignore[reportAssignmentType]
    largest_heading: float = None  # pyright: ignore[reportAssignmentType]

    def __post_init__(self) -> None:
        if self.cast not in OFFERS:
            raise ValueError(f"cast is {self.cast!r}: choose one of {', '.join(OFFERS)}")
        for name, offered in OFFERS[self.cast].items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, offered)
        for name in ("backgrounds", "patterns", "motions"):
            chosen, known = getattr(self, name), OFFERS[self.cast][name]
            if not chosen or not set(chosen) <= set(known):
                raise ValueError(f"{name} is {tuple(chosen)}: choose at least one of {', '.join(known)}")
        for name in ("seated_share", "small_share", "child_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give a share from 0 to 1")
        if not 0 <= self.largest_heading <= 60:
            raise ValueError(f"largest_heading is {self.largest_heading}: give 0 to 60 degrees")
        if self.cast == "storybook" and (self.seated_share or self.child_share):
            raise ValueError(
                f"seated_share is {self.seated_share}, child_share {self.child_share}: the storybook cast has no such "
                "characters, so leave both 0"
            )
        if self.seated_share and not set(self.motions) & set(SEATED_MOTIONS):
            raise ValueError(
                f"motions is {tuple(self.motions)}, none of which can be done seated: "
                f"add one of {', '.join(SEATED_MOTIONS)}, or set seated_share to 0"
            )


WHOLE_WORLD = WorldSettings()
"""All of the cast "people"."""
STORYBOOK = WorldSettings(cast="storybook")
"""All of the cast "storybook"."""


def split_of(cell: Sequence[int]) -> Split:
    """The split that a cell belongs to. cell: one index per attribute."""
    residue = sum(cell) % RESIDUES
    return "validation" if residue == 0 else "test" if residue == 1 else "train"


def random_stream(split: Split, seed: int) -> np.random.Generator:
    """The random numbers of one clip, the same in every process.

    Raises ValueError if the split is unknown or the seed is negative.
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}: choose one of {', '.join(SPLITS)}")
    if seed < 0:
        raise ValueError(f"seed is {seed}: give 0 or more")
    return np.random.Generator(np.random.PCG64([_STREAM, SPLITS.index(split), seed]))


def random_cell(random: np.random.Generator, split: Split, choices: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """A random cell of the split.

    choices: for each attribute, the indices that may occur; one attribute needs RESIDUES consecutive indices.
    """
    while True:
        cell = tuple(int(random.choice(indices)) for indices in choices)
        if split_of(cell) == split:
            return cell
