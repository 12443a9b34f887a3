"""One person in one frame: the skeleton of 20, two hands and a face.

Body joints, in OpenPose's order (left and right are the person's own):

     0 nose        1 neck
     2 shoulder    3 elbow     4 wrist    (right)
     5 shoulder    6 elbow     7 wrist    (left)
     8 hip         9 knee     10 ankle    (right)
    11 hip        12 knee     13 ankle    (left)
    14 right eye  15 left eye 16 right ear  17 left ear
    18 left toe   19 right toe

A hand is 21 points: the wrist, then four per finger from thumb to little finger, base first. A face is the usual 68.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike

NOSE, NECK = 0, 1
RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST = 2, 3, 4
LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST = 5, 6, 7
RIGHT_HIP, RIGHT_KNEE, RIGHT_ANKLE = 8, 9, 10
LEFT_HIP, LEFT_KNEE, LEFT_ANKLE = 11, 12, 13
RIGHT_EYE, LEFT_EYE, RIGHT_EAR, LEFT_EAR = 14, 15, 16, 17
LEFT_TOE, RIGHT_TOE = 18, 19
LEFT_HAND, RIGHT_HAND = 0, 1

SEEN_ABOVE = 0.3
"""A point counts as seen if its score is greater than this."""

UNSEEN = -1.0
"""Both coordinates of an unseen point."""

POINT_SHAPES = {"body": (20,), "hands": (2, 21), "face": (68,)}
SCORE_NAMES = {"body": "body_score", "hands": "hand_score", "face": "face_score"}


class PoseError(ValueError):
    """A fault in poses, their files, networks or settings that the user can correct."""


@dataclass(frozen=True, eq=False, repr=False)
class Pose:
    """Keypoints of one person in one frame.

    body (20, 2), hands (2, 21, 2) left then right, face (68, 2): x and y in fractions of the canvas, which may lie
    outside 0..1. body_score (20,), hand_score (2, 21), face_score (68,): confidence; the default is 1 for every point
    that is not at (-1, -1).

    Arrays are copied to float64. A point is unseen if its score is 0.3 or less, or if it lies at (-1, -1); it is
    stored as (-1, -1) with score 0. Raises PoseError if a shape is wrong or a seen point is not finite.
    """

    body: np.ndarray
    hands: np.ndarray
    face: np.ndarray
    body_score: np.ndarray = None  # pyright: ignore[reportAssignmentType]
    hand_score: np.ndarray = None  # pyright: ignore[reportAssignmentType]
    face_score: np.ndarray = None  # pyright: ignore[reportAssignmentType]

    def __post_init__(self) -> None:
        for name, score_name in SCORE_NAMES.items():
            points, scores = _checked(name, getattr(self, name), getattr(self, score_name))
            object.__setattr__(self, name, points)
            object.__setattr__(self, score_name, scores)

    @classmethod
    def empty(cls) -> Pose:
        """A pose in which no point is seen."""
        return cls(**{name: np.full((*shape, 2), UNSEEN) for name, shape in POINT_SHAPES.items()})

    @classmethod
    def from_wholebody(cls, keypoints: ArrayLike, scores: ArrayLike, width: float, height: float) -> Pose:
        """The skeleton of 20 from 134 points: 18 OpenPose joints, 6 feet, 68 face, 21 left hand, 21 right hand.

        keypoints: (134, 2) in pixels; scores: (134,); width, height: size of the image in pixels. A toe is the mean of
        the big and the small toe and has the smaller of their scores. Heels are not used.
        """
        points = np.array(keypoints, np.float64) / (width, height)
        scores = np.array(scores, np.float64)
        feet, feet_score = points[18:24].reshape(2, 3, 2), scores[18:24].reshape(2, 3)
        return cls(
            body=np.concatenate([points[:18], feet[:, :2].mean(1)]),
            body_score=np.concatenate([scores[:18], feet_score[:, :2].min(1)]),
            hands=points[92:134].reshape(2, 21, 2),
            hand_score=scores[92:134].reshape(2, 21),
            face=points[24:92],
            face_score=scores[24:92],
        )

    @property
    def body_seen(self) -> np.ndarray:
        """(20,) bool."""
        return seen(self.body, self.body_score)

    @property
    def hand_seen(self) -> np.ndarray:
        """(2, 21) bool."""
        return seen(self.hands, self.hand_score)

    @property
    def face_seen(self) -> np.ndarray:
        """(68,) bool."""
        return seen(self.face, self.face_score)

    @property
    def is_empty(self) -> bool:
        """Whether no point is seen."""
        return not (self.body_seen.any() or self.hand_seen.any() or self.face_seen.any())

    def flat(self) -> tuple[np.ndarray, np.ndarray]:
        """All 130 points (130, 2) and scores (130,): body, left hand, right hand, face."""
        points = np.concatenate([self.body, self.hands.reshape(42, 2), self.face])
        return points, np.concatenate([self.body_score, self.hand_score.reshape(42), self.face_score])

    @classmethod
    def from_flat(cls, points: np.ndarray, scores: np.ndarray) -> Pose:
        """The inverse of `flat`: points (130, 2) and scores (130,)."""
        return cls(
            body=points[:20],
            hands=points[20:62].reshape(2, 21, 2),
            face=points[62:],
            body_score=scores[:20],
            hand_score=scores[20:62].reshape(2, 21),
            face_score=scores[62:],
        )

    def moved(self, move: Callable[[np.ndarray], np.ndarray]) -> Pose:
        """The pose after `move`, a function of points (..., 2), is applied to every seen point."""
        points, scores = self.flat()
        return Pose.from_flat(np.where((scores > 0)[:, None], move(points), UNSEEN), scores)

    def __repr__(self) -> str:
        """The numbers of seen points, rather than 130 coordinates."""
        hands = self.hand_seen.sum(1)
        return (
            f"Pose(body {self.body_seen.sum()} of 20 seen, left hand {hands[0]} and right hand {hands[1]} of 21, "
            f"face {self.face_seen.sum()} of 68)"
        )

    def __eq__(self, other: object) -> bool:
        """Whether every coordinate and score is equal."""
        if not isinstance(other, Pose):
            return NotImplemented
        return all(np.array_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    __hash__ = None  # pyright: ignore[reportAssignmentType]


def seen(points: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Which points (..., 2) with scores (...) are seen: (...) bool."""
    return (scores > SEEN_ABOVE) & ~(points == UNSEEN).all(-1)


def _checked(name: str, points: ArrayLike, scores: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
    points = _array(name, points, (*POINT_SHAPES[name], 2))
    if scores is None:
        scores = np.ones(POINT_SHAPES[name])
    scores = _array(SCORE_NAMES[name], scores, POINT_SHAPES[name])
    unseen = ~seen(points, scores)
    points[unseen], scores[unseen] = UNSEEN, 0
    if not np.isfinite(points).all() or not np.isfinite(scores).all():
        raise PoseError(f"{name} has a seen point that is not finite: give it score 0 to mark it as unseen")
    return points, scores


def _array(name: str, values: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.array(values, np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise PoseError(f"{name} is not an array of numbers ({error}): give one of shape {shape}") from error
    if array.shape != shape:
        raise PoseError(f"{name} has shape {array.shape}: it must be {shape}")
    return array
