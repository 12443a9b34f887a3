"""The parameters of one motion of a storybook character, and its postures at any time."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ..people.motion import random_unrest, wandering
from ..people.posture import Posture, Stance
from ..world import RESIDUES, STORYBOOK_MOTIONS, Split, WorldSettings, random_cell
from .motion_families import FAMILIES, Round

SLOWEST, FASTEST = 0.42, 0.8  # tempo, in rounds a second
SMALLEST, LARGEST = 0.8, 1.1  # reach
REACHES = HEADINGS = 5
CALM = 0.45  # how much the angles wander, as a share of what `people` do
FARTHEST = 0.07  # to each side, where the character waits, in units of the height
APART, LOWERED = 0.018, 0.006  # of each foot and of the hips when standing, in units of the height


@dataclass(frozen=True)
class Motion:
    """One motion. Before second 0 the character stands and waits; the reference image shows that.

    cell: indices of family, tempo, reach and heading; tempo: rounds a second; heading, widest: how far the character
    faces away from the viewer, degrees to its left, and the limit of that; leading: the side that begins.
    waiting (6,): numbers -1..1 that decide how it waits; unrest: as in `people`.
    """

    cell: tuple[int, ...]
    family: str
    tempo: float
    reach: float
    heading: float
    widest: float
    phase: float
    leading: int
    waiting: np.ndarray
    unrest: dict[str, np.ndarray]

    seated = False
    extent_seconds = np.arange(-2.7, 20, 0.27)

    def postures(self, seconds: np.ndarray) -> Posture:
        """The postures at these times, (f,)."""
        (posture, stance), (moving, steps) = self._resting(len(seconds)), self._resting(len(seconds))
        self._wait(posture, stance)
        beat = Round(2 * np.pi * (self.tempo * seconds + self.phase), self.reach, self.leading)
        FAMILIES[self.family](moving, steps, beat)
        moves = seconds >= 0
        _replace(posture, moving, moves)
        _replace(stance, steps, moves)
        stance.hips[:, 1] += LOWERED
        posture.stance = stance
        self._wander(posture, seconds)
        return posture

    def _resting(self, frames: int) -> tuple[Posture, Stance]:
        """Standing still, turned to the heading; the head turns a little back to the viewer."""
        posture, stance = (
            Posture.standing(frames),
            Stance(self.heading, np.zeros((frames, 3)), np.zeros((frames, 2, 3))),
        )
        stance.feet[..., 0] = APART, -APART
        posture.arm_raise[:], posture.arm_twist[:], posture.elbow[:] = 28, 40, 18
        posture.yaw[:] = self.heading
        posture.head_yaw[:] = -0.5 * self.heading
        return posture, stance

    def _wait(self, posture: Posture, stance: Stance) -> None:
        """Stands a little aside, each arm and the head in a place of its own."""
        where, left, right, bend, lean, head = self.waiting
        stance.hips[:, 0] = where * FARTHEST
        stance.feet[..., 0] += where * FARTHEST
        posture.arm_raise += np.array([left, right]) * 10
        posture.elbow += 12 * bend
        posture.tilt += 2 * lean
        posture.head_roll += 5 * head

    def _wander(self, posture: Posture, seconds: np.ndarray) -> None:
        """Adds the unrest of each angle; the feet stay."""
        for name, waves in self.unrest.items():
            unrest, angle = CALM * wandering(name, waves, seconds), getattr(posture, name)
            if not name.startswith(("thigh", "knee", "toes")):
                setattr(posture, name, angle + (unrest if angle.ndim == 2 else unrest[:, 0]))
        posture.yaw = np.clip(posture.yaw, -self.widest, self.widest)
        posture.elbow = np.clip(posture.elbow, 0, 130)
        posture.curl = np.clip(posture.curl, 0, 40)


def _replace(values: Posture | Stance, others: Posture | Stance, which: np.ndarray) -> None:
    """Copies these frames of every array. which: (f,) bool."""
    for field in fields(values):
        if isinstance(array := getattr(values, field.name), np.ndarray):
            array[which] = getattr(others, field.name)[which]


def random_motion(random: np.random.Generator, split: Split, settings: WorldSettings) -> Motion:
    """A random motion of the split. Its family, tempo, reach and heading occur together in no other split."""
    families = [STORYBOOK_MOTIONS.index(name) for name in settings.motions]
    cell = random_cell(random, split, [families, range(RESIDUES), range(REACHES), range(HEADINGS)])
    family, tempo, reach, heading = cell

    def within(index: int, count: int, low: float, high: float) -> float:
        return low + (high - low) * (index + random.random()) / count

    widest = settings.largest_heading
    return Motion(
        cell=cell,
        family=STORYBOOK_MOTIONS[family],
        tempo=within(tempo, RESIDUES, SLOWEST, FASTEST),
        reach=within(reach, REACHES, SMALLEST, LARGEST),
        heading=within(heading, HEADINGS, -widest, widest),
        widest=widest,
        phase=random.random(),
        leading=int(random.integers(2)),
        waiting=random.uniform(-1, 1, 6),
        unrest=random_unrest(random),
    )
