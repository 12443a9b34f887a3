"""Recorded poses, random poses for hypothesis, and single poses to and from POSE_KEYPOINT frames."""

import json

import numpy as np
from hypothesis import strategies as st

from tests.support import DATA
from unianimate_core.pose import Pose, frames_of_people, people_by_frame

SIDES = [(2, 5), (3, 6), (4, 7), (8, 11), (9, 12), (10, 13), (14, 15), (16, 17), (19, 18)]


def recorded_alignment() -> tuple[Pose, list[Pose], list[Pose]]:
    """The reference, the driving poses, and these as aligned by the authors' code."""
    recorded = json.loads((DATA / "align.json").read_text())
    return (
        Pose(**recorded["reference"]),
        [Pose(**frame) for frame in recorded["driving"]],
        [Pose(**frame) for frame in recorded["aligned"]],
    )


REFERENCE, DRIVING, ALIGNED = recorded_alignment()


def without(pose: Pose, *joints: int) -> Pose:
    """The pose with these joints of the body unseen."""
    score = pose.body_score.copy()
    score[list(joints)] = 0
    return Pose(pose.body, pose.hands, pose.face, score, pose.hand_score, pose.face_score)


def openpose_frame(pose: Pose, width: int = 512, height: int = 768) -> dict:
    """A POSE_KEYPOINT frame that holds this person alone."""
    (frame,) = frames_of_people([[pose]], width, height)
    return frame


def pose_of_openpose(frame: dict) -> Pose:
    """The only person of a POSE_KEYPOINT frame."""
    ((pose,),) = people_by_frame([frame])
    return pose


@st.composite
def people(draw, template: Pose = REFERENCE) -> Pose:
    """From a plausible person to a heap of joints: a template with noise, missing joints and swapped sides."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    points, scores = template.flat()
    points = points + draw(st.sampled_from([0, 0.005, 0.03, 0.3])) * rng.standard_normal(points.shape)
    points = points * draw(st.sampled_from([(1, 1), (0.1, 1), (1, 0.3), (3, 1)]))  # side view, seated, wide canvas
    scores = scores * (rng.random(130) >= draw(st.sampled_from([0, 0, 0.1, 0.5, 0.9])))
    for right, left in draw(st.lists(st.sampled_from(SIDES), max_size=4)):
        points[[right, left]], scores[[right, left]] = points[[left, right]], scores[[left, right]]
    for joint in draw(st.lists(st.integers(0, 19), max_size=6)):
        scores[joint] = 0
    return Pose.from_flat(points, scores)


@st.composite
def references(draw) -> Pose:
    """A person with at least one seen joint of the body."""
    return draw(people().filter(lambda pose: pose.body_seen.any()))


@st.composite
def clips(draw) -> list[Pose]:
    """One to six frames of a clip, at any scale and place."""
    template = draw(st.sampled_from(DRIVING))
    frames = draw(st.lists(people(template), min_size=1, max_size=6))
    scale = 10.0 ** draw(st.integers(-4, 4))
    shift = np.array(draw(st.tuples(st.floats(-3, 3), st.floats(-3, 3)))) * scale
    return [pose.moved(lambda points: scale * points + shift) for pose in frames]
