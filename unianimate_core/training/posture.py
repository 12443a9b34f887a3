"""Angles of every joint over time, and the points in space that follow from them.

Space: x to the right of the picture, y down, z towards the viewer; lengths in units of an adult's height. Somebody
who faces the viewer has their left side at +x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..pose import keypoints as points
from .appearance import Proportions

SIDES = (points.LEFT_HAND, points.RIGHT_HAND)
OUTWARD = np.array([1.0, -1.0])  # x of either side
FINGERS = (  # where a finger begins across the palm and along the hand, its length, how it fans out in degrees
    (0.30, 0.22, 0.50, 46),
    (0.24, 0.50, 0.44, 9),
    (0.08, 0.53, 0.48, 2),
    (-0.08, 0.51, 0.44, -5),
    (-0.23, 0.46, 0.35, -13),
)
KNUCKLES = np.array([0.0, 0.45, 0.75, 1.0])


@dataclass
class Posture:
    """Degrees, one entry a frame; of limbs (f, 2), left then right. sway, hop: lengths.

    lean: forwards; tilt: to the person's left; twist: of the chest against the hips, to their left. arm_raise: 0 hangs,
    180 points up; arm_forward: 0 sideways, 90 ahead; arm_twist: where the forearm bends to: 0 ahead, 90 outwards or up.
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

    @classmethod
    def standing(cls, frames: int) -> Posture:
        """Upright, arms a little away from the body."""
        single = dict.fromkeys(
            ("yaw", "lean", "tilt", "twist", "head_yaw", "head_pitch", "head_roll", "sway", "hop", "palm"), 0.0
        )
        limbs = {"arm_raise": 14, "arm_forward": 10, "arm_twist": 20, "elbow": 14, "wrist": 0, "palm": 0, "curl": 22}
        legs = {"thigh_forward": 1, "thigh_out": 4, "knee": 3, "toes_out": 24}
        arrays = {name: np.full(frames, value) for name, value in single.items()}
        arrays |= {name: np.full((frames, 2), float(value)) for name, value in (limbs | legs).items()}
        return cls(**arrays)


@dataclass(frozen=True)
class Bones:
    """Points and axes in space. body (f, 20, 3), hands (f, 2, 21, 3); hips_axes, chest_axes, head_axes (f, 3, 3):
    columns are the person's left, down and ahead. head: (f, 3), its centre; heel (f, 2, 3).
    """

    body: np.ndarray
    hands: np.ndarray
    head: np.ndarray
    heels: np.ndarray
    hips_axes: np.ndarray
    chest_axes: np.ndarray
    head_axes: np.ndarray


def bones_of(posture: Posture, proportions: Proportions) -> Bones:
    """Where everything is, the lower foot on the ground at y = 0, between the feet at x = 0, z = 0."""
    frames = len(posture.yaw)
    hips_axes = _about_y(posture.yaw)
    trunk_axes = hips_axes @ _about_x(-posture.lean) @ _about_z(posture.tilt)
    chest_axes = trunk_axes @ _about_y(posture.twist)
    head_axes = chest_axes @ _about_y(posture.head_yaw) @ _about_x(-posture.head_pitch) @ _about_z(posture.head_roll)
    body, heels = np.zeros((frames, 20, 3)), np.zeros((frames, 2, 3))
    hands = np.zeros((frames, 2, 21, 3))

    for side in SIDES:
        hip, knee, ankle, toe = LEGS[side]
        body[:, hip] = _along(trunk_axes, OUTWARD[side] * proportions.hips, 0, 0)
        forward, out = np.radians(posture.thigh_forward[:, side]), np.radians(posture.thigh_out[:, side])
        bend = forward - np.radians(posture.knee[:, side])
        sideways = OUTWARD[side] * np.sin(out)
        thigh = _along(
            hips_axes, sideways * np.abs(np.cos(forward)) ** 0.5, np.cos(out) * np.cos(forward), np.sin(forward)
        )
        shin = _along(hips_axes, sideways * 0.7 * np.cos(bend), np.cos(out) * np.cos(bend), np.sin(bend))
        body[:, knee] = body[:, hip] + proportions.thigh * _unit(thigh)
        body[:, ankle] = body[:, knee] + proportions.shin * _unit(shin)
    middle = (body[:, points.LEFT_ANKLE] + body[:, points.RIGHT_ANKLE]) / 2
    origin = -middle
    lowest = np.maximum(body[:, points.LEFT_ANKLE, 1], body[:, points.RIGHT_ANKLE, 1])
    origin[:, 1] = -proportions.ankle - lowest - posture.hop
    origin += _along(hips_axes, posture.sway, 0, 0)
    body += origin[:, None]
    for side in SIDES:
        _, _, ankle, toe = LEGS[side]
        raised = np.clip((-proportions.ankle - body[:, ankle, 1]) / 0.1, 0, 1)
        down = np.radians(8 + 46 * raised)
        out = np.radians(posture.toes_out[:, side])
        ahead = _along(hips_axes, OUTWARD[side] * np.sin(out) * np.cos(down), np.sin(down), np.cos(out) * np.cos(down))
        below = proportions.ankle * 0.55 * _along(hips_axes, 0, np.cos(down), -np.sin(down))
        body[:, toe] = body[:, ankle] + below + proportions.foot * 0.82 * ahead
        heels[:, side] = body[:, ankle] + below - proportions.foot * 0.24 * ahead

    middle_hips = (body[:, points.LEFT_HIP] + body[:, points.RIGHT_HIP]) / 2
    body[:, points.NECK] = middle_hips + _along(trunk_axes, 0, -proportions.spine, 0)
    for side in SIDES:
        shoulder, elbow, wrist = ARMS[side]
        body[:, shoulder] = body[:, points.NECK] + _along(chest_axes, OUTWARD[side] * proportions.shoulders, 0, 0)
        upper, lower, palm = _arm_directions(posture, side)
        body[:, elbow] = body[:, shoulder] + proportions.upper_arm * _turned(chest_axes, upper)
        body[:, wrist] = body[:, elbow] + proportions.forearm * _turned(chest_axes, lower)
        hands[:, side] = _hand(
            body[:, wrist], _turned(chest_axes, lower), _turned(chest_axes, palm), posture, side, proportions.hand
        )

    upwards = (chest_axes[:, :, 1] + head_axes[:, :, 1]) / 2
    head = body[:, points.NECK] - proportions.neck * upwards
    for joint, (x, y, z) in HEAD_POINTS.items():
        width = proportions.head * proportions.head_width
        body[:, joint] = head + _along(head_axes, x * width, y * proportions.head, z * width)
    return Bones(body, hands, head, heels, hips_axes, chest_axes, head_axes)


LEGS = (
    (points.LEFT_HIP, points.LEFT_KNEE, points.LEFT_ANKLE, points.LEFT_TOE),
    (points.RIGHT_HIP, points.RIGHT_KNEE, points.RIGHT_ANKLE, points.RIGHT_TOE),
)
ARMS = (
    (points.LEFT_SHOULDER, points.LEFT_ELBOW, points.LEFT_WRIST),
    (points.RIGHT_SHOULDER, points.RIGHT_ELBOW, points.RIGHT_WRIST),
)
HEAD_POINTS = {  # in radii of the head: to its left, down, ahead
    points.NOSE: (0.0, 0.22, 1.0),
    points.LEFT_EYE: (0.42, -0.02, 0.86),
    points.RIGHT_EYE: (-0.42, -0.02, 0.86),
    points.LEFT_EAR: (1.0, 0.1, -0.05),
    points.RIGHT_EAR: (-1.0, 0.1, -0.05),
}


def _arm_directions(posture: Posture, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Upper arm, forearm and across the palm (towards the thumb), (f, 3) each, in the chest's axes."""
    outward = OUTWARD[side]
    raised, forward, twist, elbow = (
        np.radians(getattr(posture, name)[:, side]) for name in ("arm_raise", "arm_forward", "arm_twist", "elbow")
    )
    upper = np.stack(
        [outward * np.sin(raised) * np.cos(forward), np.cos(raised), np.sin(raised) * np.sin(forward)], axis=-1
    )
    ahead = np.array([0.0, -0.35, 1.0])  # never along an arm that one would hold so
    bend = _unit(ahead - (upper @ ahead)[:, None] * upper)
    across = outward * np.cross(upper, bend)
    bend, across = (
        np.cos(twist)[:, None] * bend + np.sin(twist)[:, None] * across,
        np.cos(twist)[:, None] * across - np.sin(twist)[:, None] * bend,
    )
    lower = np.cos(elbow)[:, None] * upper + np.sin(elbow)[:, None] * bend
    bend_of_lower = np.cos(elbow)[:, None] * bend - np.sin(elbow)[:, None] * upper
    palm = np.radians(posture.palm[:, side])[:, None]
    return upper, lower, np.cos(palm) * bend_of_lower - np.sin(palm) * across


def _hand(wrist, forearm, towards_thumb, posture: Posture, side: int, length: float) -> np.ndarray:
    """21 points, (f, 21, 3)."""
    bend = np.radians(posture.wrist[:, side])[:, None]
    along = np.cos(bend) * forearm + np.sin(bend) * towards_thumb
    across = np.cos(bend) * towards_thumb - np.sin(bend) * forearm
    inward = OUTWARD[side] * np.cross(along, across)
    hand = np.zeros((len(wrist), 21, 3))
    hand[:, 0] = wrist
    curl = np.radians(posture.curl[:, side])[:, None]
    for finger, (offset, start, reach, fan) in enumerate(FINGERS):
        straight = np.cos(np.radians(fan)) * along + np.sin(np.radians(fan)) * across
        base = wrist + length * (offset * across + start * along)
        position, previous = base, 0.0
        for joint, share in enumerate(KNUCKLES):
            angle = curl * (0.35 + 0.55 * joint)
            step = length * reach * (share - previous)
            position = position + step * (np.cos(angle) * straight + np.sin(angle) * inward)
            hand[:, 1 + 4 * finger + joint] = position
            previous = share
    return hand


def _along(axes: np.ndarray, left, down, ahead) -> np.ndarray:
    """A vector (f, 3) given in a body's own axes (f, 3, 3)."""
    parts = np.stack(np.broadcast_arrays(left, down, ahead, axes[:, 0, 0])[:3], axis=-1)
    return _turned(axes, parts)


def _turned(axes: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    return np.einsum("fij,fj->fi", axes, vectors)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _rotation(degrees: np.ndarray, first: int, second: int) -> np.ndarray:
    """Rotations (f, 3, 3) that take the first axis towards the second."""
    angle = np.radians(degrees)
    matrix = np.zeros((len(angle), 3, 3))
    matrix[:] = np.eye(3)
    matrix[:, first, first] = matrix[:, second, second] = np.cos(angle)
    matrix[:, second, first] = np.sin(angle)
    matrix[:, first, second] = -np.sin(angle)
    return matrix


def _about_x(degrees: np.ndarray) -> np.ndarray:
    """Positive turns what is below ahead, so negative leans forwards what is above... seen from the hips."""
    return _rotation(degrees, 1, 2)


def _about_y(degrees: np.ndarray) -> np.ndarray:
    """Positive turns ahead towards the left side."""
    return _rotation(degrees, 2, 0)


def _about_z(degrees: np.ndarray) -> np.ndarray:
    """Positive turns the left side downwards."""
    return _rotation(degrees, 0, 1)
