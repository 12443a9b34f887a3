"""The chosen person is the same dancer in every frame."""

import numpy as np
import pytest

from tests.support.poses import REFERENCE
from unianimate_core.pose import Pose, PoseError, choose_people


def person(x: float, y: float = 0.5, size: float = 0.5, score: float = 0.9) -> Pose:
    """A standing person of height `size`, with the middle at x, y."""
    points, _ = REFERENCE.flat()
    middle = (REFERENCE.body.min(0) + REFERENCE.body.max(0)) / 2
    height = np.ptp(REFERENCE.body[:, 1])
    return Pose.from_flat((points - middle) * size / height + (x, y), np.full(130, score))


def middles(poses: list[Pose]) -> list[float]:
    return [
        round(float((pose.body.min(0) + pose.body.max(0))[0] / 2), 6) if not pose.is_empty else -1 for pose in poses
    ]


def dancer(frame: int) -> Pose:
    return person(0.5 + 0.05 * np.sin(frame / 5), size=0.6)


def test_a_passer_by_is_not_chosen():
    """The passer-by is listed first and has a higher score in every frame; both cross in the middle."""
    passers = [person(0.1 + 0.02 * frame, size=0.5, score=1) for frame in range(40)]
    people = [[passers[frame], dancer(frame)] for frame in range(40)]
    assert middles(choose_people(people)) == middles([dancer(frame) for frame in range(40)])


def test_a_passer_by_is_not_chosen_while_the_dancer_is_hidden():
    """Some frames show only the passer-by in front; after them, the dancer is found again."""
    people = [[dancer(frame)] if not 17 <= frame <= 22 else [] for frame in range(40)]
    for frame in range(5, 35):
        people[frame].insert(0, person(0.1 + 0.02 * frame, size=0.55))
    expected = [-1 if 17 <= frame <= 22 else middles([dancer(frame)])[0] for frame in range(40)]
    assert middles(choose_people(people)) == expected


def test_a_dancer_is_found_again_after_a_long_absence():
    people = [[dancer(0)] if frame < 10 or frame >= 60 else [] for frame in range(70)]
    assert [pose.is_empty for pose in choose_people(people)] == [not people[frame] for frame in range(70)]


@pytest.mark.parametrize("frames", [1, 5, 25])
def test_another_person_before_or_after_the_dancer_is_left_out(frames):
    """These frames repeat the dancer later; a false detection would place and scale the whole clip."""
    for somebody in (person(0.85), person(0.5, size=0.1), person(0.4, y=1.1, size=0.6)):
        people = [[somebody]] * frames + [[dancer(frame)] for frame in range(40)]
        assert [pose.is_empty for pose in choose_people(people)] == [True] * frames + [False] * 40
        assert [pose.is_empty for pose in choose_people(people[::-1])] == [False] * 40 + [True] * frames


def test_the_dancer_is_found_again_beside_another_person():
    """After a long absence, size and place differ a little from those before."""
    people = [[dancer(0)] if frame < 40 else [person(0.58, size=0.5), person(0.9)] for frame in range(110)]
    for frame in range(40, 80):
        people[frame] = []
    assert middles(choose_people(people)) == [0.5] * 40 + [-1] * 40 + [0.58] * 30


def test_a_fast_dancer_is_not_lost():
    """A fifth of the body's height per frame: a run, at 8 frames per second."""
    frames = [person(0.1 + 0.04 * frame, size=0.2) for frame in range(12)]
    people = [[frame, person(0.5, y=0.1, size=0.1)] for frame in frames]
    assert middles(choose_people(people)) == middles(frames)


def test_other_choices_are_made_frame_by_frame():
    """The British spelling of "center" is accepted, too."""
    small_first, large, central = person(0.2, size=0.2), person(0.8, size=0.7), person(0.5, size=0.3)
    people = [[small_first, large, central], [], [central]]
    for choice, expected in {"score": 0.2, "largest": 0.8, "center": 0.5, "centre": 0.5}.items():
        assert middles(choose_people(people, choice)) == [expected, -1, 0.5]
    with pytest.raises(PoseError, match="choice is 'best'"):
        choose_people(people, "best")


def test_a_single_image_gives_the_larger_person():
    assert middles(choose_people([[person(0.2, size=0.2), person(0.7, size=0.6)]])) == [0.7]
    assert choose_people([]) == []
    assert choose_people([[]])[0].is_empty
