"""The hard cases of alignment that users report, one by one."""

import numpy as np
import pytest

from tests.support.poses import DRIVING, REFERENCE
from unianimate_core.pose import Pose, PoseError, align_poses
from unianimate_core.pose.alignment.bone_lengths import LONGEST, PARENT, PROPORTIONS, bone_lengths


def with_body(body: np.ndarray, hidden: tuple[int, ...] = (), pose: Pose = REFERENCE) -> Pose:
    """The pose with another body, whose `hidden` joints are unseen."""
    score = np.ones(20)
    score[list(hidden)] = 0
    return Pose(body, pose.hands, pose.face, score)


def from_the_side(pose: Pose, width: float = 0.08) -> Pose:
    """Turned about the vertical through the neck, so that all widths shrink."""
    return pose.moved(lambda points: pose.body[1] + (points - pose.body[1]) * (width, 1))


def swaying(pose: Pose, frames: int = 12) -> list[Pose]:
    """Half the size, at another place, swaying from side to side."""
    sways = 0.03 * np.sin(np.arange(frames))
    return [pose.moved(lambda points, x=x: points / 2 + np.array([0.3 + x, 0.2])) for x in sways]


def lengths(pose: Pose) -> dict[int, float]:
    return {child: float(length[0]) for child, length in bone_lengths(pose.body[None], pose.body_seen[None]).items()}


def shares(poses: list[Pose], reference: Pose = REFERENCE) -> dict[int, float]:
    """Child joint -> length of its bone / length in the reference, in the frame where it is longest."""
    wanted = lengths(reference)
    return {child: max(lengths(pose)[child] for pose in poses) / wanted[child] for child in PARENT}


def test_a_side_view_in_frame_0_does_not_make_giant_shoulders():
    """The authors' rule takes all widths from frame 0, and makes giant shoulders."""
    clip = swaying(REFERENCE)
    driving = [from_the_side(clip[0]), *clip[1:]]
    giant = shares(align_poses(REFERENCE, driving, scale_from="first"))
    usual = shares(align_poses(REFERENCE, driving))
    assert giant[2] > 5
    assert all(0.8 < share < 1.1 for share in usual.values())


def test_a_clip_in_side_view_stays_in_side_view():
    """It shows no shoulder width to measure, so shoulders and sideways steps are scaled like everything else."""
    driving = swaying(from_the_side(REFERENCE))
    aligned = align_poses(REFERENCE, driving)
    share = shares(aligned)
    assert share[2] < 0.5 and share[5] < 0.5
    assert all(0.9 < share[child] < 1.1 for child in (9, 10, 12, 13))
    sway = np.ptp([pose.body[1, 0] for pose in aligned]) / np.ptp([pose.body[1, 0] for pose in driving])
    assert sway == pytest.approx(2, rel=0.1)


def test_a_seated_reference_does_not_shrink_the_legs_of_a_standing_dancer():
    """Thighs that point at the camera have almost no length in the image."""
    body = REFERENCE.body.copy()
    for hip, leg in ((8, (9, 10, 19)), (11, (12, 13, 18))):
        body[list(leg)] -= 0.85 * (body[leg[0]] - body[hip])
    seated = with_body(body)
    authors = shares(align_poses(seated, swaying(REFERENCE), scale_from="first"))
    robust = shares(align_poses(seated, swaying(REFERENCE)))
    for thigh in (9, 12):
        assert authors[thigh] == pytest.approx(0.15)
        assert 0.6 < robust[thigh] < 1.4


def seated_at(floor: float, thighs: float) -> Pose:
    """The reference with thighs `thighs` times as long, moved down until its toes are at `floor`."""
    body = REFERENCE.body.copy()
    for hip, leg in ((8, (9, 10, 19)), (11, (12, 13, 18))):
        body[list(leg)] -= (1 - thighs) * (body[leg[0]] - body[hip])
    return with_body(body + np.array([0, floor - body[:, 1].max()]))


@pytest.mark.parametrize("thighs", [0.0, 0.15, 0.35])
def test_feet_of_a_seated_reference_stay_in_the_image(thighs):
    """The image shows the seat and the floor; a standing dancer's full legs would leave it."""
    seated = seated_at(0.97, thighs)
    aligned = align_poses(seated, swaying(REFERENCE))
    feet = max(pose.body[[10, 13, 18, 19], 1].max() for pose in aligned)
    assert 0.9 < feet < 1
    roomy = seated_at(0.8, thighs)
    longer = align_poses(roomy, swaying(REFERENCE))
    assert lengths(longer[0])[9] > 1.5 * lengths(aligned[0])[9]
    assert max(pose.body[[18, 19], 1].max() for pose in longer) < 1


def test_a_seated_reference_with_feet_outside_the_image_gets_full_legs():
    seated = seated_at(1.1, 0.35)
    assert lengths(align_poses(seated, swaying(REFERENCE))[0])[9] > 0.6 * lengths(REFERENCE)[9]


def test_an_adult_dancer_gets_the_proportions_of_a_child():
    """A large head on short legs: every bone has its own ratio."""
    body = REFERENCE.body.copy()
    body[[0, 14, 15, 16, 17]] = body[1] + 1.4 * (body[[0, 14, 15, 16, 17]] - body[1])
    for hip, leg in ((8, (9, 10, 19)), (11, (12, 13, 18))):
        body[list(leg)] = body[hip] + 0.7 * (body[list(leg)] - body[hip])
    child = with_body(body)
    share = shares(align_poses(child, swaying(REFERENCE)), child)
    assert all(value == pytest.approx(1, abs=1e-6) for bone, value in share.items() if bone not in (18, 19))


@pytest.mark.parametrize("missing", [(3, 4), (2, 3, 4), (9, 10, 19), (14, 16)])
def test_a_hidden_limb_of_the_reference_gets_the_length_of_its_opposite(missing):
    """A hand behind the back must not change the arm."""
    aligned = align_poses(with_body(REFERENCE.body, missing), swaying(REFERENCE))
    expected = align_poses(REFERENCE, swaying(REFERENCE))
    for pose, full in zip(aligned, expected, strict=True):
        assert np.abs(pose.body - full.body).max() < 0.03


@pytest.mark.parametrize("missing", [1, 2, 3, 8, 11, 12, 13])
def test_a_joint_hidden_in_some_frames_does_not_make_others_jump(missing):
    """Detectors often lose joints, and lose the neck with either shoulder."""
    hidden = (missing, 1) if missing in (2, 5) else (missing,)
    driving = [pose.moved(lambda points: points / 2) for pose in DRIVING]
    holes = [pose if frame % 2 == 0 else with_body(pose.body, hidden, pose) for frame, pose in enumerate(driving)]
    for pose, full in zip(align_poses(REFERENCE, holes), align_poses(REFERENCE, driving), strict=True):
        assert np.abs(pose.body - full.body)[pose.body_seen].max() < 0.08


def test_a_wrong_detection_changes_only_its_own_frame():
    driving = swaying(REFERENCE, 24)
    body = driving[7].body.copy()
    body[4] += (0.4, -0.3)
    wrong = [*driving[:7], with_body(body, pose=driving[7]), *driving[8:]]
    aligned, expected = align_poses(REFERENCE, wrong), align_poses(REFERENCE, driving)
    for frame in set(range(24)) - {7}:
        np.testing.assert_allclose(aligned[frame].body, expected[frame].body, atol=1e-9)
    assert lengths(aligned[7])[4] <= LONGEST * lengths(REFERENCE)[4] * (1 + 1e-9)


def test_hands_keep_a_plausible_size():
    """A hand as large as the body is shortened to the limit; other hands get the size of the reference's."""
    fan = np.array([[0, 0], *([x, y] for x in np.linspace(-0.03, 0.03, 5) for y in np.linspace(0.03, 0.06, 4))])
    reference = Pose(REFERENCE.body, REFERENCE.body[[7, 4], None] + fan, REFERENCE.face)
    driving = swaying(reference, 24)
    hands = driving[5].hands.copy()
    hands[0] = hands[0, 0] + 12 * (hands[0] - hands[0, 0])
    driving[5] = Pose(driving[5].body, hands, driving[5].face)
    aligned = align_poses(reference, driving)
    palms = np.array([np.linalg.norm(pose.hands[:, 9] - pose.hands[:, 0], axis=-1) for pose in aligned])
    palm = np.hypot(*fan[9])
    assert palms[5, 0] == pytest.approx(LONGEST * palm)
    np.testing.assert_allclose(np.delete(palms, 5, 0), palm)


def test_canvases_of_different_shapes_are_measured_in_true_proportion():
    """A person in a landscape video keeps their proportions in a portrait image."""
    wide = [pose.moved(lambda points: points * np.array([512 / 768 * 720 / 1280, 1])) for pose in swaying(REFERENCE)]
    aligned = align_poses(REFERENCE, wide, reference_size=(512, 768), driving_size=(1280, 720))
    for pose in aligned:
        shift = pose.body[1] - REFERENCE.body[1]
        np.testing.assert_allclose(pose.body, REFERENCE.body + shift, atol=1e-6)


def test_similarity_keeps_the_proportions_of_the_dancer():
    for pose, driving in zip(align_poses(REFERENCE, DRIVING, "similarity"), DRIVING, strict=True):
        ratios = [lengths(pose)[child] / lengths(driving)[child] for child in PARENT]
        np.testing.assert_allclose(ratios, ratios[0])


def test_mode_none_changes_nothing():
    assert align_poses(REFERENCE, DRIVING, "none") == DRIVING
    assert align_poses(Pose.empty(), DRIVING, "none") == DRIVING


def test_empty_frames_stay_empty():
    aligned = align_poses(REFERENCE, [Pose.empty(), *DRIVING, Pose.empty()])
    assert [pose.is_empty for pose in aligned] == [True, False, False, False, False, True]
    assert align_poses(REFERENCE, []) == []
    assert align_poses(REFERENCE, [Pose.empty()] * 2) == [Pose.empty()] * 2


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"mode": "bone"}, "mode is 'bone'"),
        ({"scale_from": "last"}, "scale_from is 'last'"),
        ({"scale_from": 4}, "scale_from is frame 4, the driving poses have 4"),
        ({"driving_size": (0, 100)}, "0x100"),
    ],
)
def test_errors_name_a_setting_that_does_not_exist(options, names):
    with pytest.raises(PoseError, match=names):
        align_poses(REFERENCE, DRIVING, **options)


def test_a_reference_without_a_body_is_an_error():
    with pytest.raises(PoseError, match="reference pose shows no body"):
        align_poses(Pose.empty(), DRIVING)


def test_proportions_are_known_for_every_bone():
    assert set(PROPORTIONS) == set(PARENT)
