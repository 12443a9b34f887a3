"""POSE_KEYPOINT frames, ComfyUI's own form of keypoints, to and from `Pose`.

A frame is `{"canvas_width", "canvas_height", "people": [...]}`. A person holds flat lists of x, y, score, in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..clip import MOST_FRAMES
from ..keypoints import LEFT_EYE, LEFT_HAND, LEFT_TOE, RIGHT_EYE, RIGHT_HAND, RIGHT_TOE, UNSEEN, Pose, PoseError, seen
from .hand_names import with_hands_at_their_wrists

LARGEST_CANVAS = 65536
MOST_PEOPLE = 1000
MARK, MARKED = "written_by", "UniAnimate for ComfyUI"
"""Key and value that this pack writes into its frames: their hands have the right names, wherever they lie."""
FARTHEST = 1000  # canvases: no detector puts a point farther out

BODY_25 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
"""Our first 18 joints in OpenPose's body of 25, whose points 19 to 24 are the feet in our order."""

ACCEPTED_POINTS = {
    "pose_keypoints_2d": (18, 25),
    "foot_keypoints_2d": (6,),
    "hand_left_keypoints_2d": (21,),
    "hand_right_keypoints_2d": (21,),
    "face_keypoints_2d": (68, 70),
}


def people_by_frame(frames: Sequence[Mapping[str, Any]]) -> list[list[Pose]]:
    """The people of each POSE_KEYPOINT frame of a clip, in the order of the frame.

    Accepts what ComfyUI's SDPose nodes and the common preprocessors write:
    - lists that are absent, null or empty if nothing was found, such as the feet;
    - bodies of 18 or 25 points, and faces of 68 or 70 (the last two, the eyes, are dropped);
    - coordinates in fractions of the canvas: assumed if all bodies of a frame lie within two pixels of the corner of
      a canvas of 64 pixels or more;
    - left and right hands that are exchanged in the whole clip, as some extractors write them (see `hand_names`).

    Raises PoseError that names the first wrong frame and what is wrong with it.
    """
    if not isinstance(frames, Sequence) or isinstance(frames, (str, bytes)):
        raise PoseError(f"keypoints are a list of frames, this is a {type(frames).__name__}: it is another format")
    if len(frames) > MOST_FRAMES:
        raise PoseError(f"there are {len(frames):,} frames of keypoints, the limit is {MOST_FRAMES:,}: cut the clip")
    people = []
    for number, frame in enumerate(frames):
        try:
            people.append(_people_of_frame(frame))
        except PoseError as error:
            raise PoseError(f"frame {number} of {len(frames)}: {error}") from error
    return with_hands_at_their_wrists(people, [frame.get(MARK) == MARKED for frame in frames])


def frames_of_people(people: Sequence[Sequence[Pose]], width: int, height: int) -> list[dict[str, Any]]:
    """POSE_KEYPOINT frames with the people of each frame, in pixels of a canvas of width x height.

    Unseen points are 0, 0, 0. Our toe becomes both the big and the small toe, and heels are unseen. The last two of
    the 70 points of a face are the eyes of the body. Each frame carries `MARK`, which other packs ignore.

    Raises PoseError if the size of the canvas is out of range.
    """
    size = _canvas_side("canvas_width", width), _canvas_side("canvas_height", height)
    return [
        {
            "canvas_width": size[0],
            "canvas_height": size[1],
            "people": [_person_of_pose(pose, size) for pose in frame],
            MARK: MARKED,
        }
        for frame in people
    ]


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


def _people_of_frame(frame: Mapping[str, Any]) -> list[Pose]:
    """The people of one frame, with the names of their hands as written."""
    if not isinstance(frame, Mapping):
        raise PoseError(f"a frame of keypoints is a {type(frame).__name__}: it must be an object with people")
    canvas = np.array([_canvas_side(name, frame.get(name)) for name in ("canvas_width", "canvas_height")])
    people = frame.get("people")
    if not isinstance(people, Sequence) or isinstance(people, (str, bytes)):
        raise PoseError(f"people is {_shown(people)}: a frame of keypoints must have a list of people")
    if len(people) > MOST_PEOPLE:
        raise PoseError(f"a frame has {len(people)} people: the limit is {MOST_PEOPLE}")
    parts = [_parts_of_person(person) for person in people]
    if _in_fractions(parts, canvas):
        canvas = np.ones(2)
    return [_pose_of_parts(part, canvas) for part in parts]


def _canvas_side(name: str, side: Any) -> int:
    if (
        not isinstance(side, (int, float, np.integer, np.floating))
        or isinstance(side, bool)
        or not 1 <= side <= LARGEST_CANVAS
        or side != int(side)
    ):
        raise PoseError(f"{name} is {_shown(side)}: it must be a whole number of pixels, 1 to {LARGEST_CANVAS}")
    return int(side)


def _parts_of_person(person: Any) -> dict[str, np.ndarray]:
    """Name of the list -> (points, 3), without lists that are absent, null or empty."""
    if not isinstance(person, Mapping):
        raise PoseError(f"a person is {_shown(person)}: it must be an object with lists of keypoints")
    parts = {}
    for name, accepted in ACCEPTED_POINTS.items():
        values = person.get(name)
        if values is None or (isinstance(values, (list, tuple)) and not values):
            continue
        parts[name] = _points(name, values, accepted)
    if not any(name in person for name in ACCEPTED_POINTS):
        raise PoseError("a person has none of the lists of keypoints (pose_keypoints_2d, ...): this is another format")
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
    """The usual case, checked without looking at each value in Python."""
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
    """parts: name of the list -> (points, 3) of x, y, score. canvas: (2,) width and height in the units of x and y."""
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
        raise PoseError(f"a keypoint lies more than {FARTHEST} canvases away: check canvas_width and canvas_height")
    return Pose.from_wholebody(xy, scores, canvas[0], canvas[1])


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
