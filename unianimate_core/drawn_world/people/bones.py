"""Turns the angles of a posture into points in space: x to the right of the image, y down, z toward the viewer.

Lengths are in units of the person's height. The left side of a person who faces the viewer is at +x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...pose import keypoints as points
from .appearance import Proportions
from .posture import Posture, Stance
from .rotations import along, lean_forward, tilt_left, turn_left, turned, unit

SIDES = (points.LEFT_HAND, points.RIGHT_HAND)
OUTWARD = np.array([1.0, -1.0])  # direction in x of the left and the right side
FINGERS = (  # base of the finger across the palm and along the hand, length, angle of the fan in degrees
    (0.30, 0.22, 0.50, 46),
    (0.24, 0.50, 0.44, 9),
    (0.08, 0.53, 0.48, 2),
    (-0.08, 0.51, 0.44, -5),
    (-0.23, 0.46, 0.35, -13),
)
KNUCKLES = np.array([0.0, 0.45, 0.75, 1.0])

LEGS = (
    (points.LEFT_HIP, points.LEFT_KNEE, points.LEFT_ANKLE, points.LEFT_TOE),
    (points.RIGHT_HIP, points.RIGHT_KNEE, points.RIGHT_ANKLE, points.RIGHT_TOE),
)
ARMS = (
    (points.LEFT_SHOULDER, points.LEFT_ELBOW, points.LEFT_WRIST),
    (points.RIGHT_SHOULDER, points.RIGHT_ELBOW, points.RIGHT_WRIST),
)
Place = tuple[float, float, float]
"""A place on the head: to the person's left, down and ahead, in radii of the head."""
FACE: dict[int, Place] = {
    points.NOSE: (0.0, 0.22, 1.0),
    points.LEFT_EYE: (0.42, -0.02, 0.86),
    points.RIGHT_EYE: (-0.42, -0.02, 0.86),
    points.LEFT_EAR: (1.0, 0.1, -0.05),
    points.RIGHT_EAR: (-1.0, 0.1, -0.05),
}


@dataclass(frozen=True)
class Bones:
    """The points of a person in space, for f frames.

    body (f, 20, 3) and hands (f, 2, 21, 3): as in Pose; head (f, 3): its center; heels (f, 2, 3).
    hips_axes, chest_axes, head_axes (f, 3, 3): the columns are the person's left, down and ahead.
    """

    body: np.ndarray
    hands: np.ndarray
    head: np.ndarray
    heels: np.ndarray
    hips_axes: np.ndarray
    chest_axes: np.ndarray
    head_axes: np.ndarray


def bones_of(posture: Posture, proportions: Proportions, face: dict[int, Place] = FACE) -> Bones:
    """The points of all postures. face: where nose, eyes and ears are on the head.

    The lower foot stands on the ground, y = 0, and the middle of the ankles is at x = 0, z = 0. `sway` moves the person
    sideways from there, `hop` upward. If the posture has a stance, hips and feet are where the stance says.
    """
    frames = len(posture.yaw)
    body, hands, heels = np.zeros((frames, 20, 3)), np.zeros((frames, 2, 21, 3)), np.zeros((frames, 2, 3))
    hips_axes = turn_left(posture.yaw)
    trunk_axes = hips_axes @ lean_forward(posture.lean) @ tilt_left(posture.tilt)
    chest_axes = trunk_axes @ turn_left(posture.twist)
    head_axes = (
        chest_axes @ turn_left(posture.head_yaw) @ lean_forward(posture.head_pitch) @ tilt_left(posture.head_roll)
    )

    for side in SIDES:
        body[:, LEGS[side][0]] = along(trunk_axes, OUTWARD[side] * proportions.hips, 0, 0)
    if posture.stance is None:
        for side in SIDES:
            _bend_leg(body, posture, proportions, side, hips_axes)
        _stand(body, posture, proportions, hips_axes)
        feet_axes = hips_axes
    else:
        feet_axes = turn_left(np.full(frames, posture.stance.facing))
        _stand_at(body, posture.stance, posture.toes_out, proportions, feet_axes)
    for side in SIDES:
        heels[:, side] = _put_foot(body, posture, proportions, side, feet_axes)

    middle = (body[:, points.LEFT_HIP] + body[:, points.RIGHT_HIP]) / 2
    body[:, points.NECK] = middle + along(trunk_axes, 0, -proportions.spine, 0)
    for side in SIDES:
        hands[:, side] = _raise_arm(body, posture, proportions, side, chest_axes)

    head = body[:, points.NECK] - proportions.neck * (chest_axes[:, :, 1] + head_axes[:, :, 1]) / 2
    width = proportions.head * proportions.head_width
    for joint, (left, down, ahead) in face.items():
        body[:, joint] = head + along(head_axes, left * width, down * proportions.head, ahead * width)
    return Bones(body, hands, head, heels, hips_axes, chest_axes, head_axes)


def _bend_leg(body: np.ndarray, posture: Posture, proportions: Proportions, side: int, axes: np.ndarray) -> None:
    """Sets knee and ankle, starting from the hip."""
    hip, knee, ankle, _ = LEGS[side]
    forward, out = np.radians(posture.thigh_forward[:, side]), np.radians(posture.thigh_out[:, side])
    bend = forward - np.radians(posture.knee[:, side])
    sideways = OUTWARD[side] * np.sin(out)
    thigh = along(axes, sideways * np.abs(np.cos(forward)) ** 0.5, np.cos(out) * np.cos(forward), np.sin(forward))
    shin = along(axes, sideways * 0.7 * np.cos(bend), np.cos(out) * np.cos(bend), np.sin(bend))
    body[:, knee] = body[:, hip] + proportions.thigh * unit(thigh)
    body[:, ankle] = body[:, knee] + proportions.shin * unit(shin)


def _stand(body: np.ndarray, posture: Posture, proportions: Proportions, axes: np.ndarray) -> None:
    """Moves hips and legs so that the lower foot stands on the ground."""
    origin = -(body[:, points.LEFT_ANKLE] + body[:, points.RIGHT_ANKLE]) / 2
    lowest = np.maximum(body[:, points.LEFT_ANKLE, 1], body[:, points.RIGHT_ANKLE, 1])
    origin[:, 1] = -proportions.ankle - lowest - posture.hop
    origin += along(axes, posture.sway, 0, 0)
    body += origin[:, None]


def _stand_at(
    body: np.ndarray, stance: Stance, toes_out: np.ndarray, proportions: Proportions, ground: np.ndarray
) -> None:
    """Moves the hips to their place above the feet, and sets ankles and knees.

    The knee is where the circles of thigh and shin meet, on the side that the toes point to. ground: axes (f, 3, 3) of
    the stance.
    """
    hips, feet = stance.hips, stance.feet
    longest = 0.995 * (proportions.thigh + proportions.shin)
    body += along(ground, hips[:, 0], 0, hips[:, 2])[:, None]
    highest = np.full(len(body), np.inf)
    for side in SIDES:
        hip, _, ankle, _ = LEGS[side]
        outward = OUTWARD[side] * proportions.hips + feet[:, side, 0]
        body[:, ankle] = along(ground, outward, -feet[:, side, 1] - proportions.ankle, feet[:, side, 2])
        across = ((body[:, ankle] - body[:, hip])[:, [0, 2]] ** 2).sum(-1)
        reach = np.sqrt(np.maximum(longest**2 - across, (0.3 * longest) ** 2))
        highest = np.minimum(highest, body[:, hip, 1] - body[:, ankle, 1] + reach)
    lowered = hips[:, 1] - highest
    for side in SIDES:
        hip, knee, ankle, _ = LEGS[side]
        body[:, hip, 1] += lowered
        leg = body[:, ankle] - body[:, hip]
        length = np.linalg.norm(leg, axis=-1)
        share = (length**2 + proportions.thigh**2 - proportions.shin**2) / (2 * length**2)
        out = np.radians(toes_out[:, side])
        ahead = along(ground, OUTWARD[side] * np.sin(out), 0, np.cos(out))
        bend = unit(ahead - (ahead * leg).sum(-1, keepdims=True) / length[:, None] ** 2 * leg)
        aside = np.sqrt(np.maximum(proportions.thigh**2 - (share * length) ** 2, 0))
        body[:, knee] = body[:, hip] + share[:, None] * leg + aside[:, None] * bend


def _put_foot(body: np.ndarray, posture: Posture, proportions: Proportions, side: int, axes: np.ndarray) -> np.ndarray:
    """Sets the toe, starting from the ankle: flat on the ground, or hanging from a raised leg. Returns the heel."""
    _, _, ankle, toe = LEGS[side]
    raised = np.clip((-proportions.ankle - body[:, ankle, 1]) / 0.1, 0, 1)
    down, out = np.radians(8 + 46 * raised), np.radians(posture.toes_out[:, side])
    ahead = along(axes, OUTWARD[side] * np.sin(out) * np.cos(down), np.sin(down), np.cos(out) * np.cos(down))
    below = proportions.ankle * 0.55 * along(axes, 0, np.cos(down), -np.sin(down))
    body[:, toe] = body[:, ankle] + below + proportions.foot * 0.82 * ahead
    return body[:, ankle] + below - proportions.foot * 0.24 * ahead


def _raise_arm(body: np.ndarray, posture: Posture, proportions: Proportions, side: int, axes: np.ndarray) -> np.ndarray:
    """Sets shoulder, elbow and wrist, starting from the neck. Returns the hand."""
    shoulder, elbow, wrist = ARMS[side]
    body[:, shoulder] = body[:, points.NECK] + along(axes, OUTWARD[side] * proportions.shoulders, 0, 0)
    upper, lower, palm = (turned(axes, direction) for direction in _arm_directions(posture, side))
    body[:, elbow] = body[:, shoulder] + proportions.upper_arm * upper
    body[:, wrist] = body[:, elbow] + proportions.forearm * lower
    return _hand(body[:, wrist], lower, palm, posture, side, proportions.hand)


def _arm_directions(posture: Posture, side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Directions of upper arm, forearm and palm (toward the thumb), (f, 3) each, in the axes of the chest."""
    outward = OUTWARD[side]
    raised, forward, twist, elbow = (
        np.radians(getattr(posture, name)[:, side]) for name in ("arm_raise", "arm_forward", "arm_twist", "elbow")
    )
    upper = np.stack(
        [outward * np.sin(raised) * np.cos(forward), np.cos(raised), np.sin(raised) * np.sin(forward)], axis=-1
    )
    ahead = np.array([0.0, -0.35, 1.0])  # no usual arm points exactly this way
    bend = unit(ahead - (upper @ ahead)[:, None] * upper)
    across = outward * np.cross(upper, bend)
    bend, across = (
        np.cos(twist)[:, None] * bend + np.sin(twist)[:, None] * across,
        np.cos(twist)[:, None] * across - np.sin(twist)[:, None] * bend,
    )
    lower = np.cos(elbow)[:, None] * upper + np.sin(elbow)[:, None] * bend
    bend_of_lower = np.cos(elbow)[:, None] * bend - np.sin(elbow)[:, None] * upper
    palm = np.radians(posture.palm[:, side])[:, None]
    return upper, lower, np.cos(palm) * bend_of_lower - np.sin(palm) * across


def _hand(
    wrist: np.ndarray, forearm: np.ndarray, toward_thumb: np.ndarray, posture: Posture, side: int, length: float
) -> np.ndarray:
    """The 21 points of a hand, (f, 21, 3). forearm, toward_thumb: directions, (f, 3)."""
    bend = np.radians(posture.wrist[:, side])[:, None]
    along = np.cos(bend) * forearm + np.sin(bend) * toward_thumb
    across = np.cos(bend) * toward_thumb - np.sin(bend) * forearm
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
