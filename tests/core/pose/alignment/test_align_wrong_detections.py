"""A wrong detection must not move the body, or place the clip."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.poses import REFERENCE, without
from unianimate_core.pose import Pose, align_poses

ANKLES, NECK, FRAMES = (10, 13), 1, 30


def with_joint(pose: Pose, joint: int, place: tuple[float, float]) -> Pose:
    body = pose.body.copy()
    body[joint] = place
    return Pose(body, pose.hands, pose.face, pose.body_score, pose.hand_score, pose.face_score)


def with_legs(pose: Pose, factor: float) -> Pose:
    body = pose.body.copy()
    for hip, leg in ((8, [9, 10, 19]), (11, [12, 13, 18])):
        body[leg] = body[hip] + factor * (body[leg] - body[hip])
    return Pose(body, pose.hands, pose.face)


def dance(frames: int = FRAMES) -> list[Pose]:
    """Arms swing, the body sways, the feet stay on the floor."""
    clip = []
    for phase in 2 * np.pi * np.arange(frames) / 16:
        body = REFERENCE.body + np.array([0.03 * np.sin(phase), 0])
        body[[4, 7], 1] += 0.05 * np.cos(phase)
        clip.append(Pose(body, REFERENCE.hands, REFERENCE.face))
    return clip


def kicks(frames: int = FRAMES) -> list[Pose]:
    """The right leg stands; the left shin swings up and down."""
    clip = []
    for angle in -np.pi * np.sin(np.pi * np.arange(frames) / 15) ** 2 / 2:
        body = REFERENCE.body.copy()
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        body[[13, 18]] = body[12] + (body[[13, 18]] - body[12]) @ turn.T
        clip.append(Pose(body, REFERENCE.hands, REFERENCE.face))
    return clip


def plies(frames: int = 48) -> list[Pose]:
    """Both knees bend and the body sinks by a third of the thighs within a second; the feet stay."""
    clip = []
    for depth in 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frames) / 24):
        body = REFERENCE.body.copy()
        sink = depth * (body[9, 1] - body[8, 1]) / 3
        fixed = [10, 13, 18, 19]
        body[[joint for joint in range(20) if joint not in fixed], 1] += sink
        body[9, 0] -= sink
        body[12, 0] += sink
        clip.append(Pose(body, REFERENCE.hands, REFERENCE.face))
    return clip


def joints(poses: list[Pose], joint: int) -> np.ndarray:
    return np.array([pose.body[joint] for pose in poses])


@given(
    st.integers(0, FRAMES - 1),
    st.sampled_from(ANKLES),
    st.floats(-1, 2).filter(lambda y: abs(y - 0.85) > 0.3),
    st.sampled_from([0.7, 1.0]),
)
def test_a_wrong_ankle_does_not_move_the_body(frame, ankle, y, legs):
    """If the driving ankle were trusted and the placed one shortened, the figure would jump off the canvas."""
    clip, reference = dance(), with_legs(REFERENCE, legs)
    wrong = [*clip]
    wrong[frame] = with_joint(clip[frame], ankle, (clip[frame].body[ankle, 0], y))
    necks, expected = (joints(align_poses(reference, poses), NECK) for poses in (wrong, clip))
    np.testing.assert_allclose(necks, expected, atol=0.005)


@pytest.mark.parametrize("frames", [3, 4, 8, 12])
@pytest.mark.parametrize("frame", [0, 2])
def test_a_wrong_ankle_in_a_short_clip_does_not_change_the_legs(frames, frame):
    """The longest shin of a few frames may be the wrong one, too."""
    clip = dance(frames)
    wrong = [*clip]
    wrong[frame] = with_joint(clip[frame], ANKLES[1], (0.55, 1.6))
    aligned, expected = align_poses(REFERENCE, wrong), align_poses(REFERENCE, clip)
    for other in set(range(frames)) - {frame}:
        np.testing.assert_allclose(aligned[other].body, expected[other].body, atol=0.005)


@pytest.mark.parametrize("hidden", [slice(0, None, 2), slice(1, None, 2), slice(10, 18), slice(0, 6), slice(24, None)])
def test_a_standing_ankle_hidden_in_some_frames_does_not_make_the_body_bounce(hidden):
    """The other foot, in the air, must not replace it."""
    reference, clip = with_legs(REFERENCE, 0.7), kicks()
    holes = [*clip]
    holes[hidden] = [without(pose, ANKLES[0]) for pose in clip[hidden]]
    for poses in (clip, holes):
        necks = joints(align_poses(reference, poses), NECK)
        np.testing.assert_allclose(necks, np.broadcast_to(reference.body[NECK], necks.shape), atol=0.003)


def test_noisy_ankles_hardly_move_the_body():
    rng = np.random.default_rng(0)
    noisy = []
    for pose in dance(120):
        body = pose.body.copy()
        body[list(ANKLES)] += 0.01 * rng.standard_normal((2, 2))
        noisy.append(Pose(body, pose.hands, pose.face))
    necks = joints(align_poses(with_legs(REFERENCE, 0.7), noisy), NECK)[:, 1]
    assert np.std(np.diff(necks)) < 0.0004
    assert np.std(necks) < 0.0012


@pytest.mark.parametrize("legs", [0.7, 1.3])
def test_a_planted_foot_stays_planted_while_the_knees_bend(legs):
    """Legs and torso change by different ratios; without the correction the feet rise and sink."""
    reference = with_legs(REFERENCE, legs)
    ways = {
        keep: np.ptp(joints(align_poses(reference, plies(), keep_feet_on_ground=keep), 10)[:, 1])
        for keep in (True, False)
    }
    assert ways[True] < 0.15 * ways[False] and ways[True] < 0.002


def other(pose: Pose, scale: float, shift: tuple[float, float]) -> Pose:
    return pose.moved(lambda points: scale * points + np.array(shift))


@pytest.mark.parametrize("mode", ["bones", "similarity"])
@pytest.mark.parametrize(
    ("frames", "scale", "shift"),
    [(1, 0.1, (0.6, 0.9)), (1, 0.3, (0, 0)), (5, 0.5, (0.7, 0.3)), (5, 1, (-0.4, 0))],
)
def test_somebody_else_at_the_beginning_does_not_place_the_clip(mode, frames, scale, shift):
    """It may be a false detection or a passer-by. The dancer, who is present for longer, lies on the reference."""
    clip = [other(pose, 0.8, (0.1, 0.1)) for pose in dance()]
    people = [*(other(pose, scale, shift) for pose in clip[:frames]), *clip[frames:]]
    aligned = align_poses(REFERENCE, people, mode)
    np.testing.assert_allclose(aligned[frames].body[NECK], REFERENCE.body[NECK], atol=0.005)
    np.testing.assert_allclose(joints(aligned[frames:], NECK)[:, 1], REFERENCE.body[NECK, 1], atol=0.005)


@given(st.sampled_from([0, 1, 9, 29]), st.floats(0, 2 * np.pi), st.floats(0.1, 3))
def test_a_wrong_neck_does_not_place_the_clip(frame, angle, distance):
    clip = dance()
    wrong = [*clip]
    step = distance * np.array([np.cos(angle), np.sin(angle)])
    wrong[frame] = with_joint(clip[frame], NECK, tuple(clip[frame].body[NECK] + step))
    necks, expected = (joints(align_poses(REFERENCE, poses), NECK) for poses in (wrong, clip))
    others = np.arange(FRAMES) != frame
    swayed = np.ptp(joints(clip, NECK)[:3], axis=0)  # frame 1 or 2 may lie on the reference instead of frame 0
    assert np.abs(necks - expected)[others].max() <= swayed.max() + 0.003


def test_the_authors_rule_places_the_clip_by_its_first_frame():
    """It does so whatever that frame shows."""
    clip = [other(dance()[0], 0.5, (0.7, 0.3)), *dance()[1:]]
    for mode in ("bones", "similarity"):
        np.testing.assert_allclose(
            align_poses(REFERENCE, clip, mode, scale_from="first")[0].body[NECK], REFERENCE.body[NECK]
        )
