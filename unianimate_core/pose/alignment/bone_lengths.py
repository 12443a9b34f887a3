"""The skeleton as a tree, the lengths of its bones, and which ratios of lengths to trust.

A bone has the number of its child joint. Lengths are in heights of the reference's canvas. Every rule here uses that
an image can show a bone shorter than it is (foreshortened), but never longer.
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
"""Child joint -> parent joint, in an order in which parents come first. The neck (1) is the root."""

OPPOSITE = {2: 5, 3: 6, 4: 7, 8: 11, 9: 12, 10: 13, 14: 15, 16: 17, 19: 18}
OPPOSITE = {**OPPOSITE, **{right: left for left, right in OPPOSITE.items()}}

TORSO = (8, 11)
THIGHS = {9: (8, 10, 19), 12: (11, 13, 18)}
"""Knee -> hip, ankle and toe of the same leg."""
LARGE_BONES = (0, 2, 3, 4, 5, 6, 7, 9, 10, 12, 13)
"""Bones that show, with the torso, how large a person is. Eyes, ears and toes are too short for that."""

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
"""Lengths in an adult seen from the front, in torsos (neck to hip)."""
PALM_PROPORTION = 0.19
"""The same for a palm: wrist to base of the middle finger."""

SHORTEST_SHARE = 0.5
"""A bone of the reference shorter than this share of its expected length points out of the image by more than 60
degrees, as thighs of a seated person or shoulders seen from the side do. Its length is ignored."""

LONGEST = 1.25
"""Limit for a placed bone, in target lengths: a bone of the reference may point out of the image by 37 degrees."""

MARGIN = 0.04
"""Share of the canvas's height that stays free below the feet when thighs are shortened to fit."""

SHORTEST_THIGH = 0.1
"""In torsos, for a thigh that points at the camera and has no length in the image: a bone must have a length."""

STEADY_RANK = 0.9
"""Rank of the frame whose length counts as a driving bone's: high, because foreshortening only shortens, but not the
highest, which may be a wrong detection."""

LARGEST_EXCESS = 1.75
"""How many times the typical ratio a ratio may be. People differ less (a child's head against the legs: 1.5). A larger
ratio means that the driving bone is foreshortened in the whole clip, as shoulders are in a dance seen from the side."""


def bone_lengths(points: np.ndarray, seen: np.ndarray) -> dict[int, np.ndarray]:
    """Child joint -> (frames,) lengths, NaN if an end is unseen. points (frames, 20, 2), seen (frames, 20)."""
    return {
        child: distances(points[:, child], points[:, parent], seen[:, child] & seen[:, parent])
        for child, parent in PARENT.items()
    }


def distances(a: np.ndarray, b: np.ndarray, both_seen: np.ndarray) -> np.ndarray:
    """(frames,) distances between a and b (frames, 2), NaN unless both are seen."""
    return np.where(both_seen, np.hypot(*(a - b).T), np.nan)


def steady_length(lengths: np.ndarray) -> float | None:
    """The length in the frame of rank `STEADY_RANK`; None if the bone is never seen, or that length is 0.

    It is an element of `lengths`, not interpolated, so that shortening longer ones does not change it.
    """
    measured = np.sort(lengths[np.isfinite(lengths)])
    if not len(measured):
        return None
    rank = max(int(STEADY_RANK * (len(measured) - 1)), min(1, len(measured) - 1))  # of three frames, one may be wrong
    length = float(measured[rank])
    return length if length > 0 else None


def expected_size(lengths: dict[int, float]) -> float | None:
    """The expected length of the torso, by the bones of one image: the median over bones of length / proportion."""
    sizes = [lengths[bone] / PROPORTIONS[bone] for bone in (*TORSO, *LARGE_BONES) if bone in lengths]
    return float(np.median(sizes)) if sizes else None


def torso_length(points: np.ndarray, seen: np.ndarray) -> float | None:
    """The expected length of the torso in one image; None if no large bone is seen, or if that length is 0.

    points (20, 2), seen (20,).
    """
    return expected_size(_shown_lengths(points, seen)) or None


def target_lengths(points: np.ndarray, seen: np.ndarray) -> dict[int, float]:
    """Child joint -> the length that its bone shall have, by one reference. Unseen bones are absent.

    points (20, 2), seen (20,); y in fractions of the canvas. If a bone of the reference is implausibly short
    (`SHORTEST_SHARE`), the opposite bone replaces it, or else an adult's proportion of the same size.

    Thighs of a seated person whose legs lie on the canvas are shortened to the room below the hips, but not below the
    length in the image. That image shows the seat and the floor, and full legs would leave it; thighs as short as
    they look, pointing at the camera, would make a standing dancer a dwarf.
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
    """The median ratio (the lower of two) of the torso and the large bones; of all bones if there are none of these.

    The torso counts once, by its smaller ratio, so that neither hip is placed too far from the neck.
    """
    torso = [min(ratios[bone] for bone in TORSO if bone in ratios)] if any(b in ratios for b in TORSO) else []
    large = torso + [ratios[bone] for bone in LARGE_BONES if bone in ratios]
    values = sorted(large or ratios.values())
    return values[(len(values) - 1) // 2] if values else None


def trusted_ratio(own: float | None, opposite: float | None, typical: float) -> float:
    """The ratio to use for a bone, chosen from its own, its opposite's and the typical one.

    It is the bone's own, unless that is unknown or exceeds both the typical ratio and a plausible opposite by more
    than `LARGEST_EXCESS`. Then it is the opposite's if that is plausible, else the typical one. A ratio that is too
    small is kept: it shortens a bone that the detector made too long.
    """
    plausible = opposite if opposite is not None and opposite <= LARGEST_EXCESS * typical else None
    if own is not None and own <= LARGEST_EXCESS * max(typical, plausible or 0):
        return own
    return plausible if plausible is not None else typical
