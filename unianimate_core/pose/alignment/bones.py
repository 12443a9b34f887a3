"""Alignment bone by bone, robust to missing joints, side views, seated people and wrong detections.

Deliberate differences from the authors' rule:

- One scale instead of one for x and one for y. Shoulder width, their x, vanishes in a side view, which would enlarge
  every sideways movement. Shoulders get their width as other bones get their length.
- The length of a driving bone is its steady length over the clip, not its length in frame 0 (`bone_lengths`).
- The opposite limb's ratio, or else the typical one, replaces an implausible ratio.
- No bone is longer than `LONGEST` times the reference's in any frame.
- Hands get the size of the reference's hands, and the face moves with the nose.

By its own measure the result has the reference's lengths, so aligning it again changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..clip import BODY, HANDS
from ..keypoints import LEFT_TOE, LEFT_WRIST, RIGHT_TOE, RIGHT_WRIST
from .bone_lengths import (
    LONGEST,
    OPPOSITE,
    PALM_PROPORTION,
    PARENT,
    SHORTEST_SHARE,
    TORSO,
    bone_lengths,
    distances,
    expected_size,
    steady_length,
    target_lengths,
    trusted_ratio,
    typical_ratio,
)
from .place_bones import place_face, place_hand, place_joints

if TYPE_CHECKING:
    from ..clip import KeypointClip

LONGEST_GUESSED = 1.5
"""`LONGEST` for a palm that the reference does not show; its target is an adult's proportion."""

WRIST, MIDDLE_FINGER = 0, 9  # points of a hand at both ends of the palm


@dataclass(frozen=True)
class Retargeting:
    """Ratios of output to driving lengths, and limits of output lengths.

    scale: ratio of the torso, and of everything without a ratio of its own. ratios, longest: by child joint; longest
    has no entry for a bone without a limit. palm_ratios, longest_palms: left, right; None is no limit.
    """

    scale: float
    ratios: dict[int, float]
    longest: dict[int, float]
    palm_ratios: tuple[float, float]
    longest_palms: tuple[float | None, float | None]


def retarget_bones(target: KeypointClip, clip: KeypointClip) -> tuple[np.ndarray, np.ndarray]:
    """Points (frames, 130, 2) with the target's bone lengths, before the shift, and the scales of x and y (2,)."""
    plan = plan_retargeting(target, clip)
    body_seen = clip.seen[:, BODY]
    points = clip.points * plan.scale
    points[:, BODY], supports = place_joints(clip.points[:, BODY], body_seen, plan.scale, plan.ratios, plan.longest)
    for side, (hand, wrist) in enumerate(zip(HANDS, (LEFT_WRIST, RIGHT_WRIST), strict=True)):
        points[:, hand] = place_hand(
            clip.points[:, hand], clip.seen[:, hand], supports[wrist], plan.palm_ratios[side], plan.longest_palms[side]
        )
    place_face(points, clip.points, supports)
    return points, np.full(2, plan.scale)


def plan_retargeting(target: KeypointClip, clip: KeypointClip) -> Retargeting:
    """The ratios that give the clip's person the lengths of the target's. target: one frame."""
    targets = target_lengths(target.points[0, BODY], target.seen[0, BODY])
    own = own_ratios(targets, clip)
    typical = typical_ratio(own)
    if typical is None:
        scale = spread_ratio(target, clip)
        return Retargeting(scale, dict.fromkeys(PARENT, scale), {}, (scale, scale), (None, None))
    scale = trusted_ratio(_torso_ratio(own), None, typical)
    ratios = {child: trusted_ratio(own.get(child), own.get(OPPOSITE.get(child, -1)), typical) for child in PARENT}
    ratios.update(dict.fromkeys((*TORSO, LEFT_TOE, RIGHT_TOE), scale))  # the pelvis is rigid, toes move with ankles
    palm_ratios, longest_palms = _plan_palms(target, clip, typical, ratios)
    longest = {child: LONGEST * length for child, length in targets.items()}
    return Retargeting(scale, ratios, longest, palm_ratios, longest_palms)


def own_ratios(targets: dict[int, float], clip: KeypointClip) -> dict[int, float]:
    """Child joint -> target length / steady driving length, for bones that both show."""
    ratios = {}
    for child, lengths in bone_lengths(clip.points[:, BODY], clip.seen[:, BODY]).items():
        steady = steady_length(lengths)
        if steady and child in targets:
            ratios[child] = targets[child] / steady
    return {child: ratio for child, ratio in ratios.items() if np.isfinite(ratio)}


def steady_scale(target: KeypointClip, clip: KeypointClip) -> np.ndarray:
    """The one scale of mode "similarity", as (2,): the torso's ratio, or the typical one if that is implausible."""
    own = own_ratios(target_lengths(target.points[0, BODY], target.seen[0, BODY]), clip)
    typical = typical_ratio(own)
    scale = spread_ratio(target, clip) if typical is None else trusted_ratio(_torso_ratio(own), None, typical)
    return np.full(2, scale)


def spread_ratio(target: KeypointClip, clip: KeypointClip) -> float:
    """Target size / driving size if no bone is seen in both: the ratio of spreads of the points that both show, else of
    all points that each shows, else 1."""
    for common in (clip.seen & target.seen, None):
        wanted = _spreads(target.points, target.seen if common is None else common)
        driving = _spreads(clip.points, clip.seen if common is None else common)
        known = np.isfinite(wanted) & np.isfinite(driving)
        ratios = np.sort(np.broadcast_to(wanted, known.shape)[known] / driving[known])
        if len(ratios):
            return float(ratios[(len(ratios) - 1) // 2])
    return 1.0


def _spreads(points: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(frames,) root mean square distance of the seen points from their middle; NaN if fewer than two differ."""
    weights = seen / np.maximum(seen.sum(-1, keepdims=True), 1)
    middle = (weights[..., None] * points).sum(-2, keepdims=True)
    spreads = np.sqrt((weights * ((points - middle) ** 2).sum(-1)).sum(-1))
    return np.where((seen.sum(-1) > 1) & (spreads > 0), spreads, np.nan)


def _torso_ratio(own: dict[int, float]) -> float | None:
    return min((own[hip] for hip in TORSO if hip in own), default=None)


def _plan_palms(
    target: KeypointClip, clip: KeypointClip, typical: float, ratios: dict[int, float]
) -> tuple[tuple[float, float], tuple[float | None, float | None]]:
    """Ratios and limits of the palms. If no palm is seen in both, a hand gets the ratio of its forearm."""
    wanted, limits = _palm_targets(target)
    own = []
    for palm, length in zip(HANDS, wanted, strict=True):
        steady = steady_length(_palm_lengths(clip, palm))
        own.append(length / steady if length and steady else None)
    palms = [
        trusted_ratio(own[side], own[1 - side], typical) if own[0] or own[1] else ratios[wrist]
        for side, wrist in enumerate((LEFT_WRIST, RIGHT_WRIST))
    ]
    return (palms[0], palms[1]), (limits[0], limits[1])


def _palm_targets(target: KeypointClip) -> tuple[list[float | None], list[float | None]]:
    """Lengths that the left and right palms shall have, None if the reference shows no hand, and their limits."""
    shown = [float(_palm_lengths(target, palm)[0]) for palm in HANDS]
    body = bone_lengths(target.points[:, BODY], target.seen[:, BODY])
    size = expected_size({child: float(length[0]) for child, length in body.items() if np.isfinite(length[0])})
    expected = size * PALM_PROPORTION if size else None
    plausible = [length for length in shown if length > SHORTEST_SHARE * (expected or 0)]
    if not plausible:
        return [None, None], [expected and LONGEST_GUESSED * expected] * 2
    wanted = [length if length in plausible else plausible[0] for length in shown]
    return [*wanted], [LONGEST * length for length in wanted]


def _palm_lengths(clip: KeypointClip, palm: slice) -> np.ndarray:
    points, seen = clip.points[:, palm], clip.seen[:, palm]
    both = seen[:, WRIST] & seen[:, MIDDLE_FINGER]
    return distances(points[:, WRIST], points[:, MIDDLE_FINGER], both)
