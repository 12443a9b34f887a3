"""POSE_KEYPOINT frames, ComfyUI's own form of key points, to and from `Pose`.

A frame is `{"canvas_width", "canvas_height", "people": [...]}`; a person holds flat lists of x, y, score in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..keypoints import LEFT_EYE, LEFT_HAND, LEFT_TOE, RIGHT_EYE, RIGHT_HAND, RIGHT_TOE, UNSEEN, Pose, PoseError, seen
from .hand_names import with_hands_at_their_wrists

LARGEST_CANVAS = 65536
MOST_PEOPLE = 1000
MARK, MARKED = "written_by", "UniAnimate for ComfyUI"
"""Key and value in a frame that this pack wrote: its hands are named rightly, wherever they lie."""
FARTHEST = 1000  # canvases: no detector puts a point farther out

BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
"""Where OpenPose's 25-point body has our first 18; its points 19 to 24 are the feet, in our order."""

ACCEPTED_POINTS = {
    "pose_keypoints_2d": (18, 25),
    "foot_keypoints_2d": (6,),
    "hand_left_keypoints_2d": (21,),
    "hand_right_keypoints_2d": (21,),
    "face_keypoints_2d": (68, 70),
}


def people_of_frame(frame: Mapping[str, Any]) -> list[Pose]:
    """Everybody in a frame, in its order. The frames of a clip are read by `people_of_frames`.

    Accepted are frames of ComfyUI's SDPose nodes, of pre-processors that write no feet or null where nothing was
    found, faces of 68 or 70 points (the last two, the eyes, are dropped), bodies of 18 or 25, and coordinates in
    fractions of the canvas: a body that spans less than two pixels of a canvas of 64 or more is taken as such.
    Hands that lie at each other's wrists, as some extractors name them, are exchanged.

    Raises PoseError naming what is wrong: not a frame, absurd canvas, wrong lengths, values that are not finite.
    """
    return with_hands_at_their_wrists([_people_as_named(frame)], [_is_ours(frame)])[0]


def people_of_frames(frames: Sequence[Mapping[str, Any]]) -> list[list[Pose]]:
    """Everybody in each frame of a clip, as `people_of_frame` reads one, but that hands are exchanged throughout or
    nowhere: what an extractor calls left does not change within a clip.

    Raises PoseError naming the first frame that is wrong.
    """
    people = []
    for number, frame in enumerate(frames):
        try:
            people.append(_people_as_named(frame))
        except PoseError as error:
            raise PoseError(f"frame {number} of {len(frames)}: {error}") from error
    return with_hands_at_their_wrists(people, [_is_ours(frame) for frame in frames])


def _people_as_named(frame: Mapping[str, Any]) -> list[Pose]:
    """The people with their hands as the frame names them."""
    if not isinstance(frame, Mapping):
        raise PoseError(f"a frame of key points is a {type(frame).__name__}: it must be an object with people")
    canvas = np.array([_canvas_side(frame, "canvas_width"), _canvas_side(frame, "canvas_height")])
    people = frame.get("people")
    if not isinstance(people, Sequence) or isinstance(people, (str, bytes)):
        raise PoseError(f"people is {_shown(people)}: a frame of key points must have a list of people")
    if len(people) > MOST_PEOPLE:
        raise PoseError(f"a frame has {len(people)} people: the limit is {MOST_PEOPLE}")
    parts = [_parts_of_person(person) for person in people]
    if _in_fractions(parts, canvas):
        canvas = np.ones(2)
    return [_pose_of_parts(part, canvas) for part in parts]


def _is_ours(frame: Mapping[str, Any]) -> bool:
    return frame.get(MARK) == MARKED


def frame_of_people(people: Sequence[Pose], width: int, height: int) -> dict[str, Any]:
    """The people as a POSE_KEYPOINT frame in pixels of a canvas of width x height.

    Points not seen are 0, 0, 0. The big and the small toe both get our toe, heels are not known; the two extra points
    of a face are the eyes of the body. The frame is marked as ours (`MARK`), which other packs pass over.
    """
    size = {"canvas_width": width, "canvas_height": height}
    width, height = _canvas_side(size, "canvas_width"), _canvas_side(size, "canvas_height")
    return {
        "canvas_width": width,
        "canvas_height": height,
        "people": [_person_of_pose(pose, (width, height)) for pose in people],
        MARK: MARKED,
    }


def _person_of_pose(pose: Pose, canvas: tuple[int, int]) -> dict[str, list[float]]:
    body = np.column_stack([pose.body * canvas, pose.body_score])
    hands = np.concatenate([pose.hands * canvas, pose.hand_score[..., None]], -1)
    face = np.column_stack([pose.face * canvas, pose.face_score])
    heel = np.zeros(3)
    return {
        "pose_keypoints_2d": _flat(body[:18]),
        "foot_keypoints_2d": _flat(
            np.stack([body[LEFT_TOE], body[LEFT_TOE], heel, body[RIGHT_TOE], body[RIGHT_TOE], heel])
        ),
        "face_keypoints_2d": _flat(np.concatenate([face, body[[RIGHT_EYE, LEFT_EYE]]])),
        "hand_right_keypoints_2d": _flat(hands[RIGHT_HAND]),
        "hand_left_keypoints_2d": _flat(hands[LEFT_HAND]),
    }


def _flat(points: np.ndarray) -> list[float]:
    return np.where(points[:, 2:] > 0, points, 0.0).reshape(-1).tolist()


def _canvas_side(frame: Mapping[str, Any], name: str) -> int:
    side = frame.get(name)
    if (
        not isinstance(side, (int, float, np.integer, np.floating))
        or isinstance(side, bool)
        or not 1 <= side <= LARGEST_CANVAS
        or side != int(side)
    ):
        raise PoseError(f"{name} is {_shown(side)}: it must be a whole number of pixels, 1 to {LARGEST_CANVAS}")
    return int(side)


def _parts_of_person(person: Any) -> dict[str, np.ndarray]:
    """name -> (points, 3), without the lists that are absent, null or empty."""
    if not isinstance(person, Mapping):
        raise PoseError(f"a person is {_shown(person)}: it must be an object with lists of key points")
    parts = {}
    for name, accepted in ACCEPTED_POINTS.items():
        values = person.get(name)
        if values is None or (isinstance(values, (list, tuple)) and not values):
            continue
        parts[name] = _points(name, values, accepted)
    if not any(name in person for name in ACCEPTED_POINTS):
        raise PoseError("a person has none of the lists of key points (pose_keypoints_2d, ...): this is another format")
    return parts


def _points(name: str, values: Any, accepted: tuple[int, ...]) -> np.ndarray:
    if isinstance(values, np.ndarray):
        values = values.reshape(-1).tolist()
    if not isinstance(values, (list, tuple)) or len(values) not in [3 * count for count in accepted]:
        length = f"{len(values)} values" if isinstance(values, (list, tuple)) else _shown(values)
        wanted = " or ".join(str(3 * count) for count in accepted)
        raise PoseError(f"{name} is {length}: it must be {wanted} numbers (x, y, score)")
    for value in values if not _are_finite_floats(values) else ():
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not _is_finite(value):
            raise PoseError(f"{name} has the value {_shown(value)}: every x, y and score must be a finite number")
    return np.array(values, np.float64).reshape(-1, 3)


def _are_finite_floats(values: Sequence[Any]) -> bool:
    """The usual case, without looking at each value in Python."""
    return set(map(type, values)) == {float} and bool(np.isfinite(values).all())


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _in_fractions(parts: list[dict[str, np.ndarray]], canvas: np.ndarray) -> bool:
    bodies = [part["pose_keypoints_2d"] for part in parts if "pose_keypoints_2d" in part]
    if not bodies or canvas.min() < 64:
        return False
    points = np.concatenate(bodies)
    points = points[seen(points[:, :2], points[:, 2])]
    return len(points) >= 3 and np.abs(points[:, :2]).max() < 2


def _pose_of_parts(parts: dict[str, np.ndarray], canvas: np.ndarray) -> Pose:
    """Part name -> (points, 3) of x, y (in units of which the canvas has `canvas`) and score."""
    body = parts.get("pose_keypoints_2d", np.zeros((18, 3)))
    feet = parts.get("foot_keypoints_2d", np.zeros((6, 3)))
    if len(body) == 25:
        feet = feet if "foot_keypoints_2d" in parts else body[19:25]
        body = body[list(BODY_25)]
    hands = [parts.get(f"hand_{side}_keypoints_2d", np.zeros((21, 3))) for side in ("left", "right")]
    face = parts.get("face_keypoints_2d", np.zeros((68, 3)))[:68]
    points = np.concatenate([body, feet, face, *hands])
    xy, scores = points[:, :2], np.where((points[:, :2] == UNSEEN).all(-1), 0, points[:, 2])
    if np.abs(xy[scores > 0] / canvas).max(initial=0) > FARTHEST:
        raise PoseError(f"a key point lies more than {FARTHEST} canvases away: check canvas_width and canvas_height")
    return Pose.from_wholebody(xy, scores, canvas[0], canvas[1])


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
