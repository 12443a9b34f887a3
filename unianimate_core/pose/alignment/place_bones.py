"""Putting joints, hands and faces where bones of new lengths lead, in all frames at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..clip import FACE
from ..keypoints import NECK, NOSE
from .bone_lengths import PARENT


@dataclass(frozen=True)
class Ride:
    """The seen joint, in every frame, on which what hangs below a joint rides: the joint itself where it is seen,
    else the nearest seen ancestor.

    driving, placed: (frames, 2), before and after; known: (frames,), False where there is none. scale: of points that
    hang on it. ratio_sum, bones, longest: (frames,), over the bones from it to the joint, these are zero where the
    joint itself is seen. exact: (frames,), whether it was seen and not guessed.
    """

    driving: np.ndarray
    placed: np.ndarray
    known: np.ndarray
    scale: float
    ratio_sum: np.ndarray
    bones: np.ndarray
    longest: np.ndarray
    exact: np.ndarray

    def place(self, points: np.ndarray, ratio: np.ndarray | float, longest: np.ndarray | float = np.inf) -> np.ndarray:
        """Where points (frames, 2) go; ratio: of their distance from it, longest: limit of that distance after."""
        vector = np.reshape(ratio, (-1, 1)) * (points - self.driving)
        placed = self.placed + shortened(vector, np.where(self.exact, longest, np.inf))
        return np.where(self.known[:, None], placed, self.scale * points)

    @property
    def ratio(self) -> np.ndarray:
        """(frames,) the mean ratio of the unseen bones in between, the scale where there is none."""
        return np.where(self.bones > 0, self.ratio_sum / np.maximum(self.bones, 1), self.scale)


def place_joints(
    points: np.ndarray, seen: np.ndarray, scale: float, ratios: dict[int, float], longest: dict[int, float]
) -> tuple[np.ndarray, dict[int, Ride]]:
    """Joints (frames, 20, 2) of a skeleton whose bone vectors are multiplied by `ratios` and cut to `longest`.

    points (frames, 20, 2), seen (frames, 20); ratios and longest by child joint. The neck is scaled, all else hangs on
    it. A joint whose parent is not seen hangs on the nearest ancestor that is, by the mean ratio of the bones in
    between; one without any is scaled. Returns also the ride of every joint.
    """
    placed = points * scale
    neck, neck_known = _guessed_necks(points, seen)
    none = np.zeros(len(points))
    rides = {NECK: Ride(neck, scale * neck, neck_known, scale, none, none, none, seen[:, NECK])}
    for child, parent in PARENT.items():
        above = rides[parent]
        ratio_sum, bones = above.ratio_sum + ratios[child], above.bones + 1
        limit = above.longest + longest.get(child, np.inf)
        placed[:, child] = above.place(points[:, child], ratio_sum / bones, limit)
        here = seen[:, child]
        rides[child] = Ride(
            np.where(here[:, None], points[:, child], above.driving),
            np.where(here[:, None], placed[:, child], above.placed),
            here | above.known,
            scale,
            np.where(here, 0, ratio_sum),
            np.where(here, 0, bones),
            np.where(here, 0, limit),
            here | above.exact,
        )
    return placed, rides


def place_hand(points: np.ndarray, seen: np.ndarray, wrist: Ride, ratio: float, longest: float | None) -> np.ndarray:
    """A hand (frames, 21, 2), made `ratio` times as large, at the end of its arm; its palm is at most `longest`."""
    root_seen, palm_seen = seen[:, 0], seen[:, 0] & seen[:, 9]
    root = np.where(root_seen[:, None], points[:, 0], wrist.driving)
    placed = np.where(root_seen[:, None], wrist.place(points[:, 0], wrist.ratio), wrist.placed)
    anchored = (root_seen | wrist.known)[:, None, None]
    size = np.full(len(points), ratio)
    if longest is not None:
        palm = np.hypot(*(points[:, 9] - points[:, 0]).T)
        size[palm_seen] = np.minimum(ratio, longest / np.maximum(palm[palm_seen], 1e-300))
    fingers = placed[:, None] + size[:, None, None] * (points - root[:, None])
    return np.where(anchored, fingers, wrist.scale * points)


def place_face(placed: np.ndarray, points: np.ndarray, rides: dict[int, Ride]) -> None:
    """Moves the scaled face in `placed` (frames, 130, 2) with the nose, in place. points: before, same shape."""
    nose = rides[NOSE]
    shift = np.where(nose.known[:, None], nose.placed - nose.scale * nose.driving, 0)
    placed[:, FACE] = nose.scale * points[:, FACE] + shift[:, None]


def shortened(vectors: np.ndarray, longest: np.ndarray | float) -> np.ndarray:
    """(frames, 2) vectors, those longer than `longest` (frames,) cut to it."""
    lengths = np.hypot(*vectors.T)
    too_long = lengths > longest
    factors = np.where(too_long, longest / np.where(too_long, lengths, 1), 1)
    return vectors * factors[:, None]


def _guessed_necks(points: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Necks (frames, 2), and where one is known (frames,).

    Detectors take the neck from both shoulders: one hidden shoulder hides it. Then it is where the nearest frame has
    it, moved as the joints that both frames show; scaling all such frames rigidly instead would make heads jump.
    """
    necks, known = points[:, NECK].copy(), seen[:, NECK].copy()
    sources = np.flatnonzero(known)
    for frame in np.flatnonzero(~known & seen.any(1)) if len(sources) else ():
        source = sources[np.argmin(np.abs(sources - frame))]
        common = seen[frame] & seen[source]
        if common.any():
            necks[frame] = points[source, NECK] + (points[frame, common] - points[source, common]).mean(0)
            known[frame] = True
    return necks, known
