"""What occurs in the drawn world, and how it is divided into disjoint splits.

A character is a combination of attributes (skin, hair, clothes, colors). A motion is a combination of parameters
(family, tempo, reach, heading). Each combination is a cell: one index per attribute. The sum of the indices modulo 10
assigns the cell to a split: 0 validation, 1 test, otherwise training. So every single attribute occurs in all splits,
and no combination occurs in two. Each split also has its own stream of random numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

BACKGROUNDS = ("plain", "gradient", "textured")
PATTERNS = ("plain", "stripes", "bars", "checks", "dots", "motif", "halves")
MOTIONS = ("wave", "walk", "dance", "squat", "turn", "lean", "jump", "box", "kick", "gesture")
SEATED_MOTIONS = ("wave", "turn", "lean", "box", "gesture")
"""Motions that a seated person can do."""

RESIDUES = 10
_STREAM = 0x5EED


@dataclass(frozen=True)
class WorldSettings:
    """What occurs in the clips. The defaults are the whole world; small networks learn better from fewer kinds.

    backgrounds, patterns (of clothes), motions: the kinds that occur, from BACKGROUNDS, PATTERNS and MOTIONS.
    seated_share, small_share, child_share: shares of the clips, 0..1. Small people fill about half of the canvas.
    largest_heading: how far a person may face away from the viewer, 0..60 degrees; motions add to it.
    """

    backgrounds: tuple[str, ...] = BACKGROUNDS
    patterns: tuple[str, ...] = PATTERNS
    motions: tuple[str, ...] = MOTIONS
    seated_share: float = 0.12
    small_share: float = 0.12
    child_share: float = 0.25
    largest_heading: float = 40.0

    def __post_init__(self) -> None:
        for name, known in (("backgrounds", BACKGROUNDS), ("patterns", PATTERNS), ("motions", MOTIONS)):
            chosen = getattr(self, name)
            if not chosen or not set(chosen) <= set(known):
                raise ValueError(f"{name} is {tuple(chosen)}: choose at least one of {', '.join(known)}")
        for name in ("seated_share", "small_share", "child_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}: give a share from 0 to 1")
        if not 0 <= self.largest_heading <= 60:
            raise ValueError(f"largest_heading is {self.largest_heading}: give 0 to 60 degrees")
        if self.seated_share and not set(self.motions) & set(SEATED_MOTIONS):
            raise ValueError(
                f"motions is {tuple(self.motions)}, none of which can be done seated: "
                f"add one of {', '.join(SEATED_MOTIONS)}, or set seated_share to 0"
            )


WHOLE_WORLD = WorldSettings()


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
