"""The skeleton as a tree, how long its bones are, and which ratios of lengths can be trusted.

A bone is named by its child joint. Lengths are in the reference's canvas, made square; a bone seen in two dimensions
is never longer than it is, only shorter (foreshortened), which is what every rule here rests on.
"""

from __future__ import annotations

import numpy as np

PARENT = {
    0: 1,
    2: 1,
    3: 2,
    4: 3,
    5: 1,
    6: 5,
    7: 6,
    8: 1,
    9: 8,
    10: 9,
    11: 1,
    12: 11,
    13: 12,
    14: 0,
    15: 0,
    16: 14,
    17: 15,
    18: 13,
    19: 10,
}
"""Child joint -> parent joint, parents first. The neck (1) is the root."""

OPPOSITE = {2: 5, 3: 6, 4: 7, 8: 11, 9: 12, 10: 13, 14: 15, 16: 17, 19: 18}
OPPOSITE = {**OPPOSITE, **{right: left for left, right in OPPOSITE.items()}}

TORSO = (8, 11)
THIGHS = {9: (8, 10, 19), 12: (11, 13, 18)}
"""Knee -> hip, ankle and toe of its leg."""
LARGE_BONES = (0, 2, 3, 4, 5, 6, 7, 9, 10, 12, 13)
"""Beside the torso, the bones whose ratios say how large somebody is; eyes, ears and toes are too short for that."""

PROPORTIONS = {
    0: 0.45,
    2: 0.35,
    3: 0.56,
    4: 0.50,
    5: 0.35,
    6: 0.56,
    7: 0.50,
    8: 1.0,
    9: 0.84,
    10: 0.82,
    11: 1.0,
    12: 0.84,
    13: 0.82,
    14: 0.09,
    15: 0.09,
    16: 0.13,
    17: 0.13,
    18: 0.25,
    19: 0.25,
}
"""Lengths of an adult seen from the front, in torsos (neck to hip)."""
PALM_PROPORTION = 0.19

SHORTEST_SHARE = 0.5
"""A bone of the reference shorter than this share of its expected length points out of the image by more than 60
degrees (a lap seen from the front, shoulders seen from the side): its length says nothing about the person."""

LONGEST = 1.25
"""Times its target: a bone of the reference may itself be turned out of the image by 37 degrees."""

MARGIN = 0.04
"""Of the canvas's height, kept below feet for which thighs are made to fit."""

SHORTEST_THIGH = 0.1
"""In torsos, where nothing is drawn of a thigh that points straight at us: a bone must have a length."""

STEADY_RANK = 0.9
"""A driving bone is as long as in its frame of this rank: high because foreshortening only shortens, not the highest
because a single wrong detection may be."""

LARGEST_EXCESS = 1.75
"""How far a ratio may exceed the typical one. People differ less (a child's head against its legs: 1.5); more means
that the driving bone is foreshortened in the whole clip, as shoulders are in a dance seen from the side."""


def bone_lengths(points: np.ndarray, seen: np.ndarray) -> dict[int, np.ndarray]:
    """Child joint -> (frames,) lengths, NaN where an end is not seen. points (frames, 20, 2), seen (frames, 20)."""
    return {
        child: distances(points[:, child], points[:, parent], seen[:, child] & seen[:, parent])
        for child, parent in PARENT.items()
    }


def distances(a: np.ndarray, b: np.ndarray, both_seen: np.ndarray) -> np.ndarray:
    """(frames,) distances between a and b (frames, 2), NaN where not both are seen."""
    return np.where(both_seen, np.hypot(*(a - b).T), np.nan)


def steady_length(lengths: np.ndarray) -> float | None:
    """The length in the frame of rank `STEADY_RANK`, None where that is never seen or zero.

    An element of `lengths`, never a mixture of two: so shortening what is longer does not change it.
    """
    measured = np.sort(lengths[np.isfinite(lengths)])
    if not len(measured):
        return None
    rank = max(int(STEADY_RANK * (len(measured) - 1)), min(1, len(measured) - 1))  # of three, one may be wrong
    length = float(measured[rank])
    return length if length > 0 else None


def expected_size(lengths: dict[int, float]) -> float | None:
    """How long a torso should be, from the bones of one image: the median over bones of length / proportion."""
    sizes = [lengths[bone] / PROPORTIONS[bone] for bone in (*TORSO, *LARGE_BONES) if bone in lengths]
    return float(np.median(sizes)) if sizes else None


def torso_length(points: np.ndarray, seen: np.ndarray) -> float | None:
    """How long a torso should be of whom one image shows; None where no large bone is seen, or all have no length.

    points (20, 2), seen (20,).
    """
    return expected_size(_shown_lengths(points, seen)) or None


def target_lengths(points: np.ndarray, seen: np.ndarray) -> dict[int, float]:
    """Child joint -> the length its bone shall have, from one reference; bones that are not seen are absent.

    points (20, 2), seen (20,), y as a fraction of the canvas. Where the reference shows a bone too short to be
    believed (`SHORTEST_SHARE`), its opposite stands in for it, and where that is no better, the proportions of an
    adult of the same size.

    Thighs of somebody who sits in the image with all of both legs get less than that: as much as the canvas has
    room for below the hips, and never less than is drawn. The image that is animated shows the seat and the floor;
    full legs would hang out of it, and thighs as drawn, a stump when they point at us, would make the standing dancer
    a dwarf even where there is room.
    """
    shown = _shown_lengths(points, seen)
    size = expected_size(shown)
    if size is None or size <= 0:
        return {child: length for child, length in shown.items() if length > 0}
    expected = {child: size * PROPORTIONS[child] for child in shown}
    plausible = {child: length for child, length in shown.items() if length >= SHORTEST_SHARE * expected[child]}
    targets = {
        child: plausible.get(child, plausible.get(OPPOSITE.get(child, child), expected[child])) for child in shown
    }
    if not any(knee in plausible for knee in THIGHS) and _legs_in_canvas(points, seen):
        for knee, (hip, ankle, toe) in THIGHS.items():
            foot = max(points[toe, 1] - points[ankle, 1], 0) if seen[toe] else 0
            room = 1 - MARGIN - points[hip, 1] - targets[ankle] - foot
            targets[knee] = max(min(targets[knee], room), shown[knee], SHORTEST_THIGH * size)
    return targets


def _shown_lengths(points: np.ndarray, seen: np.ndarray) -> dict[int, float]:
    lengths = bone_lengths(points[None], seen[None])
    return {child: float(length[0]) for child, length in lengths.items() if np.isfinite(length[0])}


def _legs_in_canvas(points: np.ndarray, seen: np.ndarray) -> bool:
    legs = [joint for knee, (hip, ankle, _) in THIGHS.items() for joint in (hip, knee, ankle)]
    return bool(seen[legs].all()) and bool(((points[legs, 1] >= 0) & (points[legs, 1] <= 1)).all())


def typical_ratio(ratios: dict[int, float]) -> float | None:
    """The median ratio of the torso and the large bones (the lower one of two); of any bones where none of these is.

    The torso counts once, by its smaller ratio, so that neither hip comes out too far from the neck.
    """
    torso = [min(ratios[bone] for bone in TORSO if bone in ratios)] if any(b in ratios for b in TORSO) else []
    large = torso + [ratios[bone] for bone in LARGE_BONES if bone in ratios]
    values = sorted(large or ratios.values())
    return values[(len(values) - 1) // 2] if values else None


def trusted_ratio(own: float | None, opposite: float | None, typical: float) -> float:
    """The ratio to use for a bone, from its own, its opposite's and the typical one.

    Its own, unless it exceeds both the typical ratio and a believable opposite by more than `LARGEST_EXCESS`; then,
    or where it is not known, the opposite's, or the typical where that is no better. A ratio that is too small is
    kept: it shortens a bone that the detector made too long.
    """
    believable = opposite if opposite is not None and opposite <= LARGEST_EXCESS * typical else None
    if own is not None and own <= LARGEST_EXCESS * max(typical, believable or 0):
        return own
    return believable if believable is not None else typical
