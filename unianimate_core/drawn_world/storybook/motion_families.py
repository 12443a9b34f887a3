"""The motions of the storybook cast. Each computes arms, trunk, hips and feet from the beat.

A foot on the ground stays in place, except in `walk`, which treads on the spot. Directions are those of `Stance`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..people.motion_families import Beat
from ..people.posture import Posture, Stance

OUT = np.array([1.0, -1.0])  # sideways direction of the left and the right foot


@dataclass(frozen=True)
class Round(Beat):
    """A beat whose steps happen in parts of the round. angle does not wrap: round n is 2 pi n to 2 pi (n + 1)."""

    def share(self, late: float = 0) -> np.ndarray:
        """Position in the round, 0..1. late: delay in rounds."""
        return (self.angle / (2 * np.pi) - late) % 1

    def moved(self, start: float, end: float, late: float = 0) -> np.ndarray:
        """0 before start, 1 after end, smooth in between; start and end are shares of the round."""
        part = np.clip((self.share(late) - start) / (end - start), 0, 1)
        return part * part * (3 - 2 * part)

    def lifted(self, start: float, end: float, late: float = 0) -> np.ndarray:
        """An arc from 0 to 1 and back between two shares of the round, 0 elsewhere."""
        return np.sin(np.pi * np.clip((self.share(late) - start) / (end - start), 0, 1))

    def first(self, side: int) -> float:
        """Delay in rounds of a side: none for the side that begins."""
        return 0.5 * (side != self.leading)


def wave(posture: Posture, stance: Stance, beat: Round) -> None:
    """Waves one hand beside the head and shifts the weight from foot to foot."""
    hand, other = beat.leading, beat.following
    posture.arm_raise[:, hand] = 94 + 7 * beat.swing(2, 0.1)
    posture.arm_twist[:, hand] = 84
    posture.arm_forward[:, hand] = 8
    posture.elbow[:, hand] = 44 + 32 * beat.swing(2)
    posture.curl[:, hand] = 4
    posture.arm_raise[:, other] = 34 + 12 * beat.swing()
    posture.elbow[:, other] = 40 + 12 * beat.swing(1, 0.2)
    stance.hips[:, 0] = 0.04 * beat.swing()
    posture.tilt = 5 * beat.swing()
    posture.head_roll = 7 * beat.swing(late=0.1)


def walk(posture: Posture, stance: Stance, beat: Round) -> None:
    """Walks on the spot: each foot swings ahead together with the arm of the other side."""
    stride, height = 0.12 * beat.reach, 0.1 * beat.reach
    for side in (0, 1):
        late = beat.first(side)
        back = beat.share(late) / 0.6  # 0..1 while the foot is on the ground
        ahead = np.where(back < 1, 1 - 2 * back, 2 * beat.moved(0.6, 1, late) - 1)
        stance.feet[:, side, 2] = stride * ahead
        stance.feet[:, side, 1] = height * beat.lifted(0.6, 1, late)
        swing = np.cos(2 * np.pi * (beat.share(late) - 0.02)) * beat.reach
        posture.arm_forward[:, side] = 34 - 20 * swing
        posture.arm_raise[:, side] = 38 - 16 * swing
        posture.elbow[:, side] = 44 - 22 * swing
        posture.arm_twist[:, side] = 24 + 16 * swing
    begins = OUT[beat.leading]
    stance.hips[:, 0] = 0.032 * begins * np.sin(beat.angle)
    stance.hips[:, 1] = 0.008 * (1 + np.cos(2 * beat.angle))
    posture.twist = -5 * begins * np.cos(beat.angle)
    posture.tilt = 5 * begins * np.sin(beat.angle)
    posture.head_roll = -4 * begins * np.sin(beat.angle)


def dance(posture: Posture, stance: Stance, beat: Round) -> None:
    """Steps to one side and back; the arms go up in turn."""
    width, begins = 0.11 * beat.reach, OUT[beat.leading]
    steps = (beat.leading, 0.0, 1), (beat.following, 0.25, 1), (beat.following, 0.5, -1), (beat.leading, 0.75, -1)
    for side, start, way in steps:
        window = start + 0.02, start + 0.2
        stance.feet[:, side, 0] += way * begins * width * beat.moved(*window)
        stance.feet[:, side, 1] += 0.06 * beat.lifted(*window)
    stance.feet[..., 0] -= 0.5 * begins * width
    stance.hips[:, 0] = -0.5 * begins * width * np.cos(beat.angle - 0.3)
    stance.hips[:, 1] = 0.014 * (1 + np.cos(4 * beat.angle))
    for side in (0, 1):
        up = beat.swing(late=beat.first(side))
        posture.arm_raise[:, side] = 72 + 42 * up
        posture.arm_twist[:, side] = 78
        posture.elbow[:, side] = 34 - 14 * up
    posture.tilt = -6 * begins * beat.swing()
    posture.head_roll = 8 * begins * beat.swing(late=0.1)


def squat(posture: Posture, stance: Stance, beat: Round) -> None:
    """Squats and stands up; the arms go out while down."""
    down = beat.rise()
    stance.feet[..., 0] += 0.02 * OUT
    stance.hips[:, 1] = 0.13 * down
    stance.hips[:, 2] = -0.02 * down
    posture.toes_out += 16
    posture.lean = 10 * down
    posture.arm_raise += 66 * down[:, None]
    posture.arm_forward += 18 * (1 + beat.leading) / 2
    posture.head_pitch = -6 * down


def jump(posture: Posture, stance: Stance, beat: Round) -> None:
    """Jumping jacks: feet and arms go out in one jump and in with the next."""
    out = beat.moved(0.02, 0.42) - beat.moved(0.52, 0.92)
    stance.feet[..., 0] += (0.085 * beat.reach * out)[:, None] * OUT
    stance.feet[..., 1] = (0.075 * beat.reach * (beat.lifted(0.06, 0.38) + beat.lifted(0.56, 0.88)))[:, None]
    stance.hips[:, 1] = 0.02 + 0.02 * np.cos(2 * beat.angle)
    posture.arm_raise = 22 + 98 * out[:, None] + 0 * posture.arm_raise
    posture.arm_twist += 50
    posture.elbow[:] = 14
    posture.curl[:] = 6


def circle(posture: Posture, stance: Stance, beat: Round) -> None:
    """Circles both stretched arms and bounces in the knees."""
    for side in (0, 1):
        late = 0.0 if beat.leading else beat.first(side)
        posture.arm_raise[:, side] = 76 + 46 * beat.swing(1, late)
        posture.arm_forward[:, side] = 26 + 34 * np.cos(beat.angle - 2 * np.pi * late)
        posture.elbow[:, side] = 10
        posture.curl[:, side] = 8
    stance.hips[:, 1] = 0.02 + 0.02 * np.cos(2 * beat.angle)
    stance.hips[:, 0] = 0.025 * beat.swing(1, 0.1)
    posture.tilt = 4 * beat.swing(1, 0.1)


def balance(posture: Posture, stance: Stance, beat: Round) -> None:
    """Arms stretched out, leans to one side and raises the other leg; then to the other side."""
    for side in (0, 1):
        up = beat.bursts(beat.first(side))
        stance.feet[:, side, 0] += 0.1 * OUT[side] * up
        stance.feet[:, side, 1] = 0.09 * up
    lean = beat.swing() * OUT[beat.leading]
    stance.hips[:, 0] = -0.024 * lean
    posture.tilt = -11 * lean
    posture.head_roll = 6 * lean
    for side in (0, 1):
        posture.arm_raise[:, side] = 86 - 6 * OUT[side] * lean
    posture.arm_forward[:] = 4
    posture.arm_twist[:] = 80
    posture.elbow[:] = 30
    posture.curl[:] = 6


def kick(posture: Posture, stance: Stance, beat: Round) -> None:
    """Kicks one foot after the other ahead; the arm of the other side swings up."""
    for side in (0, 1):
        up, against = beat.bursts(beat.first(side)), beat.bursts(beat.first(1 - side))
        stance.feet[:, side, 0] += 0.05 * OUT[side] * up
        stance.feet[:, side, 1] = 0.13 * up
        stance.feet[:, side, 2] = 0.17 * up
        posture.arm_raise[:, side] = 32 + 62 * against
        posture.elbow[:, side] = 30 - 10 * against
        posture.arm_twist[:, side] = 60
    lean = beat.swing() * OUT[beat.leading]
    stance.hips[:, 0] = -0.03 * lean
    posture.tilt = -6 * lean
    posture.lean = -4 * np.abs(lean)


def cheer(posture: Posture, stance: Stance, beat: Round) -> None:
    """Throws both arms up and hops, twice a round."""
    pulse = 0.5 - 0.5 * np.cos(2 * beat.angle)
    stance.feet[..., 1] = (0.07 * beat.reach * np.maximum(pulse - 0.3, 0) / 0.7)[:, None]
    stance.hips[:, 1] = 0.035 * (1 - pulse)
    posture.arm_raise = 70 + 58 * beat.reach * pulse[:, None] + 0 * posture.arm_raise
    posture.elbow = 74 - 52 * pulse[:, None] + 0 * posture.elbow
    posture.arm_twist[:] = 86
    posture.arm_forward[:] = 6
    posture.curl[:] = 4
    posture.head_roll = 7 * beat.swing()
    stance.hips[:, 0] = 0.02 * beat.swing()


FAMILIES: dict[str, Callable[[Posture, Stance, Round], None]] = {
    family.__name__: family for family in (wave, walk, dance, squat, jump, circle, balance, kick, cheer)
}
