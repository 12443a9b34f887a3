"""Angles of every joint over time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

STANDING = {"arm_raise": 14, "arm_forward": 10, "arm_twist": 20, "elbow": 14, "wrist": 0, "palm": 0, "curl": 22} | {
    "thigh_forward": 1,
    "thigh_out": 4,
    "knee": 3,
    "toes_out": 24,
}
"""Angles of the limbs, in degrees; everything else is 0."""
TRUNK_AND_HEAD = ("yaw", "lean", "tilt", "twist", "head_yaw", "head_pitch", "head_roll", "sway", "hop")


@dataclass
class Stance:
    """Where hips and feet are, for postures whose legs follow from that instead of from angles. Units of the height.

    facing: degrees to the person's left; the directions below are those of somebody who faces there.
    hips (f, 3): left, down from the greatest height that the legs allow, ahead.
    feet (f, 2, 3): left, up, ahead of each ankle from where it is when the person stands still.
    """

    facing: float
    hips: np.ndarray
    feet: np.ndarray


@dataclass
class Posture:
    """The angles of all joints, in degrees: (f,) for trunk and head, (f, 2) for limbs, left then right.

    lean: forward; tilt: to the person's left; twist: of the chest against the hips, to the person's left.
    sway (sideways) and hop (upward): lengths in units of the height.
    arm_raise: 0 hangs, 180 points up; arm_forward: 0 sideways, 90 ahead.
    arm_twist: direction in which the elbow bends the forearm: 0 ahead, 90 outward or up.
    stance: if given, it replaces sway, hop, thigh_forward, thigh_out and knee.
    """

    yaw: np.ndarray
    lean: np.ndarray
    tilt: np.ndarray
    twist: np.ndarray
    head_yaw: np.ndarray
    head_pitch: np.ndarray
    head_roll: np.ndarray
    sway: np.ndarray
    hop: np.ndarray
    arm_raise: np.ndarray
    arm_forward: np.ndarray
    arm_twist: np.ndarray
    elbow: np.ndarray
    wrist: np.ndarray
    palm: np.ndarray
    curl: np.ndarray
    thigh_forward: np.ndarray
    thigh_out: np.ndarray
    knee: np.ndarray
    toes_out: np.ndarray
    stance: Stance | None = None

    @classmethod
    def standing(cls, frames: int) -> Posture:
        """Standing upright, the arms a little away from the body."""
        arrays = {name: np.zeros(frames) for name in TRUNK_AND_HEAD}
        limbs: dict[str, Any] = {name: np.full((frames, 2), float(angle)) for name, angle in STANDING.items()}
        return cls(**arrays, **limbs)
