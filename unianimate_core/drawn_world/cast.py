"""What a cast brings: how its characters look, move and are painted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from .people.appearance import Appearance
from .people.bones import Place
from .people.figure import Figure
from .people.posture import Posture
from .people.shapes import Layer
from .world import Split, WorldSettings


class Motion(Protocol):
    """One motion. cell: see `world`; extent_seconds: when the extent of the motion is measured."""

    @property
    def cell(self) -> tuple[int, ...]: ...
    @property
    def family(self) -> str: ...
    @property
    def seated(self) -> bool: ...
    @property
    def extent_seconds(self) -> np.ndarray: ...

    def postures(self, seconds: np.ndarray) -> Posture:
        """The postures at these times, (f,)."""
        ...


@dataclass(frozen=True)
class Margins:
    """How far drawings reach beyond the keypoints.

    sideways, below: in units of the height; above: in radii of the head.
    beside_head: how far hair reaches to each side of the middle of the head, in radii of the head.
    rare: percent of the moments in which a person may reach farther than the canvas allows for.
    """

    sideways: float
    above: float
    below: float
    beside_head: float = 0.0
    rare: float = 0.0


@dataclass(frozen=True)
class Cast:
    """The steps of drawing that differ from cast to cast.

    random_appearance, random_motion: from random numbers, the split and the settings.
    random_background: from random numbers, the kind, height, width, and where characters stand as a share of the
    height; uint8 h w 3. layers: the parts of a figure. cast_shadow: onto the canvas, of a frame of a figure.
    face: where nose, eyes and ears are on the head.
    """

    random_appearance: Callable[[np.random.Generator, Split, WorldSettings], Appearance]
    random_motion: Callable[[np.random.Generator, Split, WorldSettings], Motion]
    random_background: Callable[[np.random.Generator, str, int, int, float], np.ndarray]
    layers: Callable[[Figure], list[Layer]]
    cast_shadow: Callable[[np.ndarray, Figure, int], None]
    face: dict[int, Place]
    margins: Margins
