"""The kinds of motion. Each computes the angles of all joints from the beat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .posture import Posture


@dataclass(frozen=True)
class Beat:
    """The position in the round and the size of a motion.

    angle: (f,), radians; reach: how far the motion goes, usually 1; leading: the side that begins, 0 left, 1 right.
    """

    angle: np.ndarray
    reach: float
    leading: int

    @property
    def following(self) -> int:
        return 1 - self.leading

    def swing(self, rounds: float = 1, late: float = 0) -> np.ndarray:
        """A sine between -reach and reach. late: delay in rounds."""
        return self.reach * np.sin(rounds * self.angle - 2 * np.pi * late)

    def rise(self, rounds: float = 1, late: float = 0) -> np.ndarray:
        """0..reach: from rest to the farthest point and back, once a round."""
        return self.reach * (0.5 - 0.5 * np.cos(rounds * self.angle - 2 * np.pi * late))

    def bursts(self, late: float = 0) -> np.ndarray:
        """0..reach: the upper half of a swing, and rest during the lower half."""
        return self.reach * np.maximum(np.sin(self.angle - 2 * np.pi * late), 0) ** 1.3


def wave(posture: Posture, beat: Beat) -> Posture:
    """Waves one hand above the head; the other rests at the hip."""
    hand, other = beat.leading, beat.following
    posture.arm_raise[:, hand] = 104 + 10 * beat.swing(late=0.1)
    posture.arm_forward[:, hand] = 15
    posture.arm_twist[:, hand] = 82
    posture.elbow[:, hand] = 62 + 42 * beat.swing()
    posture.wrist[:, hand] = 16 * beat.swing(late=0.15)
    posture.curl[:, hand] = 6
    posture.arm_raise[:, other] = 32 + 12 * beat.swing(0.5)
    posture.elbow[:, other] = 62 + 26 * beat.swing(0.5, 0.2)
    posture.arm_twist[:, other] = -50
    posture.tilt = 5 * beat.swing()
    posture.sway = 0.022 * beat.swing()
    posture.head_roll = 8 * beat.swing(late=0.1)
    return posture


def walk(posture: Posture, beat: Beat) -> Posture:
    """Walks on the spot: each leg swings ahead together with the arm of the other side."""
    for side in (0, 1):
        late = 0.5 * (side != beat.leading)
        swing, lifted = beat.swing(late=late), beat.bursts(late=late - 0.18)
        posture.thigh_forward[:, side] = 10 + 22 * swing + 22 * lifted
        posture.knee[:, side] = 8 + 62 * lifted
        posture.arm_forward[:, side] = 84
        posture.arm_raise[:, side] = 4 - 34 * swing
        posture.elbow[:, side] = 34 - 18 * swing
        posture.arm_twist[:, side] = 0
    first = 1 if beat.leading else -1
    posture.twist = 9 * first * beat.swing()
    posture.sway = 0.014 * first * beat.swing(late=0.2)
    posture.hop = 0.008 * beat.rise(2)
    posture.lean = posture.lean + 3
    return posture


def dance(posture: Posture, beat: Beat) -> Posture:
    """Swings the hips from side to side, bounces in the knees, and raises the arms in turn."""
    for side in (0, 1):
        late = 0.5 * (side != beat.leading)
        posture.arm_raise[:, side] = 82 + 58 * beat.swing(late=late)
        posture.arm_forward[:, side] = 28 + 16 * beat.swing(0.5)
        posture.elbow[:, side] = 58 + 34 * beat.swing(1, late + 0.2)
        posture.arm_twist[:, side] = 62 + 24 * beat.swing(late=late)
        bounce = beat.rise(2, late)
        posture.thigh_forward[:, side] = 8 + 15 * bounce
        posture.knee[:, side] = 14 + 30 * bounce
    posture.sway = 0.05 * beat.swing()
    posture.tilt = -8 * beat.swing()
    posture.twist = 14 * beat.swing(late=0.25)
    posture.head_roll = 9 * beat.swing(late=0.1)
    posture.thigh_out = posture.thigh_out + 4
    return posture


def squat(posture: Posture, beat: Beat) -> Posture:
    """Squats and stands up; the arms go ahead or out while down."""
    down = beat.rise()
    posture.thigh_forward = posture.thigh_forward + 72 * down[:, None]
    posture.knee = posture.knee + 108 * down[:, None]
    posture.thigh_out = posture.thigh_out + 16 * down[:, None] + 4
    posture.lean = 24 * down
    posture.arm_raise = posture.arm_raise + 78 * down[:, None]
    posture.arm_forward = posture.arm_forward + 34 * (1 + beat.leading) / 2
    posture.curl = posture.curl - 10
    return posture


def turn(posture: Posture, beat: Beat) -> Posture:
    """Turns the whole trunk from side to side; the arms fly out and follow."""
    swing = beat.swing() * (1 if beat.leading else -1)
    posture.yaw = 26 * swing
    posture.twist = 24 * beat.swing(late=0.06) * (1 if beat.leading else -1)
    posture.head_yaw = -12 * swing
    for side in (0, 1):
        outward = 1 - 2 * side
        posture.arm_raise[:, side] = 46 + 20 * np.abs(swing) + 16 * outward * swing
        posture.arm_forward[:, side] = 22 - 30 * outward * swing
        posture.elbow[:, side] = 34 + 24 * outward * swing
        posture.knee[:, side] = 12 - 9 * outward * swing
        posture.thigh_forward[:, side] = 6 - 5 * outward * swing
    return posture


def lean(posture: Posture, beat: Beat) -> Posture:
    """Leans to one side, one arm down along the leg, the other over the head; then to the other side."""
    for side in (0, 1):
        toward = (1 - 2 * side) * beat.swing()  # 1 if the trunk leans to this side
        posture.arm_raise[:, side] = 84 - 70 * toward
        posture.elbow[:, side] = 26 - 16 * toward
        posture.arm_twist[:, side] = 70
        posture.thigh_out[:, side] = 9
    posture.tilt = 27 * beat.swing()
    posture.lean = 4 + 8 * beat.rise(0.5)
    posture.sway = -0.03 * beat.swing()
    posture.head_roll = 10 * beat.swing(late=0.08)
    return posture


def jump(posture: Posture, beat: Beat) -> Posture:
    """Jumping jacks: arms and legs go out and in, with a hop in between."""
    out = beat.rise()[:, None]
    posture.arm_raise = 16 + 130 * out + 0 * posture.arm_raise
    posture.arm_forward = posture.arm_forward - 4
    posture.elbow = 12 + 16 * np.sin(np.pi * np.clip(out, 0, 1)) + 0 * posture.elbow
    posture.arm_twist = 70 + 0 * posture.arm_twist
    posture.thigh_out = 3 + 19 * out + 0 * posture.thigh_out
    posture.hop = 0.045 * beat.rise(2)
    bent = 1 - beat.rise(2)[:, None] / beat.reach
    posture.knee = 6 + 20 * bent + 0 * posture.knee
    posture.thigh_forward = 3 + 10 * bent + 0 * posture.thigh_forward
    posture.curl = posture.curl - 12
    return posture


def box(posture: Posture, beat: Beat) -> Posture:
    """Boxes: fists in front of the chest, then one after the other strikes ahead and sideways."""
    for side in (0, 1):
        hit = beat.bursts(0.5 * (side != beat.leading))
        posture.arm_raise[:, side] = 42 + 52 * hit
        posture.arm_forward[:, side] = 52 - 30 * hit
        posture.elbow[:, side] = 122 - 108 * hit
        posture.arm_twist[:, side] = 24
        posture.curl[:, side] = 68
        posture.knee[:, side] = 16
        posture.thigh_forward[:, side] = 10
    posture.twist = 22 * beat.swing() * (-1 if beat.leading == 0 else 1)
    posture.sway = 0.018 * beat.swing(late=0.1) * (1 - 2 * beat.leading)
    posture.hop = 0.01 * beat.rise(2)
    posture.thigh_out = posture.thigh_out + 4
    return posture


def kick(posture: Posture, beat: Beat) -> Posture:
    """Raises one leg after the other ahead and sideways; the arms keep the balance."""
    for side in (0, 1):
        lifted = beat.bursts(0.5 * (side != beat.leading))
        against = beat.bursts(0.5 * (side == beat.leading))
        posture.thigh_forward[:, side] = 4 + 46 * lifted
        posture.thigh_out[:, side] = 4 + 30 * lifted
        posture.knee[:, side] = 6 + 44 * lifted * (1 - lifted / 1.6) + 8 * against
        posture.arm_raise[:, side] = 34 + 14 * lifted + 52 * against
        posture.elbow[:, side] = 26 + 30 * lifted
        posture.arm_twist[:, side] = 40
    posture.tilt = 7 * beat.swing() * (-1 if beat.leading == 0 else 1)
    posture.lean = -3 + 0 * posture.lean
    return posture


def gesture(posture: Posture, beat: Beat) -> Posture:
    """Gestures with both hands, each at its own pace, as if talking."""
    for side, rounds in ((beat.leading, 1.0), (beat.following, 0.62)):
        posture.arm_raise[:, side] = 40 + 34 * beat.swing(rounds, 0.1 * side)
        posture.arm_forward[:, side] = 34 + 30 * beat.swing(rounds * 0.7, 0.3)
        posture.elbow[:, side] = 76 + 38 * beat.swing(rounds, 0.25)
        posture.arm_twist[:, side] = 26 + 40 * beat.swing(rounds * 1.2, 0.4 + 0.2 * side)
        posture.wrist[:, side] = 22 * beat.swing(rounds, 0.4)
        posture.palm[:, side] = 20 * beat.swing(0.5)
    posture.twist = 9 * beat.swing(0.62)
    posture.sway = 0.02 * beat.swing(0.5)
    posture.head_pitch = 7 * beat.swing(1.3)
    return posture


FAMILIES: dict[str, Callable[[Posture, Beat], Posture]] = {
    family.__name__: family for family in (wave, walk, dance, squat, turn, lean, jump, box, kick, gesture)
}
