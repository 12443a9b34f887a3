"""Places joints, hands and faces at the ends of bones with new lengths, in all frames at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..clip import FACE
from ..keypoints import NECK, NOSE
from .bone_lengths import PARENT


@dataclass(frozen=True)
class Support:
    """For each frame, the joint that supports what hangs below a joint: the joint itself, or its nearest seen ancestor.

    driving, placed: (frames, 2), its place before and after. known: (frames,), False if there is no such joint.
    scale: the scale of the clip. ratio_sum, bones, longest: (frames,), summed over the unseen bones between it and the
    joint; 0 if the joint itself is seen. exact: (frames,), False if its place is a guess.
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
        """The new place of points (frames, 2). ratio: factor for their distance from the joint; longest: its limit."""
        vector = np.reshape(ratio, (-1, 1)) * (points - self.driving)
        placed = self.placed + shortened(vector, np.where(self.exact, longest, np.inf))
        return np.where(self.known[:, None], placed, self.scale * points)

    @property
    def ratio(self) -> np.ndarray:
        """(frames,) the mean ratio of the unseen bones in between; the scale if there are none."""
        return np.where(self.bones > 0, self.ratio_sum / np.maximum(self.bones, 1), self.scale)


def place_joints(
    points: np.ndarray, seen: np.ndarray, scale: float, ratios: dict[int, float], longest: dict[int, float]
) -> tuple[np.ndarray, dict[int, Support]]:
    """Joints (frames, 20, 2), with bone vectors multiplied by `ratios` and limited to `longest`, and their supports.

    points (frames, 20, 2), seen (frames, 20); ratios and longest by child joint. The neck is scaled, and all else hangs
    on it. A joint with an unseen parent hangs on its nearest seen ancestor, by the mean ratio of the bones in between;
    a joint without one is scaled.
    """
    placed = points * scale
    neck, neck_known = _guessed_necks(points, seen)
    none = np.zeros(len(points))
    supports = {NECK: Support(neck, scale * neck, neck_known, scale, none, none, none, seen[:, NECK])}
    for child, parent in PARENT.items():
        above = supports[parent]
        ratio_sum, bones = above.ratio_sum + ratios[child], above.bones + 1
        limit = above.longest + longest.get(child, np.inf)
        placed[:, child] = above.place(points[:, child], ratio_sum / bones, limit)
        here = seen[:, child]
        supports[child] = Support(
            np.where(here[:, None], points[:, child], above.driving),
            np.where(here[:, None], placed[:, child], above.placed),
            here | above.known,
            scale,
            np.where(here, 0, ratio_sum),
            np.where(here, 0, bones),
            np.where(here, 0, limit),
            here | above.exact,
        )
    return placed, supports


def place_hand(points: np.ndarray, seen: np.ndarray, wrist: Support, ratio: float, longest: float | None) -> np.ndarray:
    """A hand (frames, 21, 2), `ratio` times as large, at the end of its arm. Its palm is at most `longest` long."""
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


def place_face(placed: np.ndarray, points: np.ndarray, supports: dict[int, Support]) -> None:
    """Places the face in `placed` (frames, 130, 2), in place: scaled, and moved with the nose. points: before."""
    nose = supports[NOSE]
    shift = np.where(nose.known[:, None], nose.placed - nose.scale * nose.driving, 0)
    placed[:, FACE] = nose.scale * points[:, FACE] + shift[:, None]


def shortened(vectors: np.ndarray, longest: np.ndarray | float) -> np.ndarray:
    """vectors (frames, 2), shortened to at most `longest` (frames,)."""
    lengths = np.hypot(*vectors.T)
    too_long = lengths > longest
    factors = np.where(too_long, longest / np.where(too_long, lengths, 1), 1)
    return vectors * factors[:, None]


def _guessed_necks(points: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Necks (frames, 2), and whether they are known (frames,).

    Detectors compute the neck from both shoulders, so one hidden shoulder hides it. It is then guessed: the neck of
    the nearest frame that has one, moved with the joints that both frames show. Without the guess, such frames would
    be scaled as a whole, and heads would jump.
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
