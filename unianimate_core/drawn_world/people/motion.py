"""The parameters of one smooth motion, and its postures at any time."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from ..world import MOTIONS, RESIDUES, SEATED_MOTIONS, Split, WorldSettings, random_cell
from .motion_families import FAMILIES, Beat
from .posture import Posture

FPS = 8
"""Frames a second of a clip, as in the videos that the released network was trained on."""

SLOWEST, FASTEST = 0.5, 1.0  # tempo, in rounds a second
SMALLEST, LARGEST = 0.78, 1.15  # reach; 1 is the motion as the families define it
REACHES = HEADINGS = 5
SHORTEST_STROLL, LONGEST_STROLL = 0.05, 0.13  # to each side, in units of the height
SWAYS = 3  # each angle wanders by the mean of this many sines

# How far each angle wanders by itself, in degrees, in addition to the motion of the family.
UNREST = {
    "yaw": 5,
    "lean": 2.5,
    "tilt": 2.5,
    "twist": 6,
    "head_yaw": 14,
    "head_pitch": 6,
    "head_roll": 6,
    "arm_raise": 8,
    "arm_forward": 10,
    "arm_twist": 8,
    "elbow": 10,
    "wrist": 12,
    "palm": 24,
    "curl": 18,
    "thigh_forward": 2,
    "thigh_out": 1.5,
    "knee": 0,
    "toes_out": 5,
}


@dataclass(frozen=True)
class Motion:
    """One motion.

    cell: indices of family, tempo, reach and heading; tempo: rounds a second; heading: how far the person faces away
    from the viewer, degrees to the person's left; leading: the side that begins.
    stroll: distance to each side in units of the height, rounds a second and phase of walking to and fro.
    unrest: for each angle that wanders (2, SWAYS, sides): rounds a second, and phases.
    """

    cell: tuple[int, ...]
    family: str
    tempo: float
    reach: float
    heading: float
    phase: float
    leading: int
    seated: bool
    stroll: tuple[float, float, float]
    unrest: dict[str, np.ndarray]

    extent_seconds = np.arange(0, 20, 0.27)

    def postures(self, seconds: np.ndarray) -> Posture:
        """The postures at these times, (f,)."""
        rest = Posture.standing(len(seconds))
        beat = Beat(2 * np.pi * (self.tempo * seconds + self.phase), self.reach, self.leading)
        posture = FAMILIES[self.family](rest, beat)
        if self.seated:
            sit(posture)
        else:
            far, rate, phase = self.stroll
            posture.sway = posture.sway + far * np.sin(2 * np.pi * (rate * seconds + phase))
        for name, waves in self.unrest.items():
            still = 0.3 if self.seated and name.startswith(("thigh", "knee", "yaw")) else 1.0
            unrest, angle = wandering(name, waves, seconds), getattr(posture, name)
            setattr(posture, name, angle + still * (unrest if angle.ndim == 2 else unrest[:, 0]))
        posture.yaw = posture.yaw + self.heading
        posture.elbow = np.clip(posture.elbow, 0, 150)
        posture.knee = np.clip(posture.knee, 0, 140)
        posture.curl = np.clip(posture.curl, 0, 75)
        return posture


def sit(posture: Posture) -> None:
    """Seats a posture: thighs ahead and apart, shins hanging, hips in place."""
    posture.thigh_forward = np.full_like(posture.thigh_forward, 80.0)
    posture.thigh_out = np.full_like(posture.thigh_out, 17.0)
    posture.knee = np.full_like(posture.knee, 80.0)
    for name in ("sway", "hop"):
        setattr(posture, name, np.zeros_like(posture.sway))
    for name in ("tilt", "lean"):
        setattr(posture, name, getattr(posture, name) * 0.6)
    posture.yaw = posture.yaw * 0.3


def random_motion(random: np.random.Generator, split: Split, settings: WorldSettings) -> Motion:
    """A random motion of the split. Its family, tempo, reach and heading occur together in no other split."""
    possible = set(settings.motions) & set(SEATED_MOTIONS)
    seated = bool(random.random() < settings.seated_share)
    families = [MOTIONS.index(name) for name in settings.motions if not seated or name in possible]
    cell = random_cell(random, split, [families, range(RESIDUES), range(REACHES), range(HEADINGS)])
    family, tempo, reach, heading = cell

    def within(index: int, count: int, low: float, high: float) -> float:
        return low + (high - low) * (index + random.random()) / count

    widest = settings.largest_heading
    return Motion(
        cell=cell,
        family=MOTIONS[family],
        tempo=within(tempo, RESIDUES, SLOWEST, FASTEST),
        reach=within(reach, REACHES, SMALLEST, LARGEST),
        heading=within(heading, HEADINGS, -widest, widest),
        phase=random.random(),
        leading=int(random.integers(2)),
        seated=seated,
        stroll=(random.uniform(SHORTEST_STROLL, LONGEST_STROLL), random.uniform(0.2, 0.4), random.random()),
        unrest=random_unrest(random),
    )


def random_unrest(random: np.random.Generator) -> dict[str, np.ndarray]:
    """For each angle of UNREST (2, SWAYS, sides): rounds a second, and phases."""
    return {
        field.name: np.stack([random.uniform(0.1, 0.55, (SWAYS, 2)), random.random((SWAYS, 2))])
        for field in fields(Posture)
        if field.name in UNREST
    }


def wandering(name: str, waves: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """How far an angle of UNREST wanders at these times, degrees (f, sides)."""
    rate, phase = waves
    return np.sin(2 * np.pi * (rate * seconds[:, None, None] + phase)).mean(1) * UNREST[name] * 1.4
