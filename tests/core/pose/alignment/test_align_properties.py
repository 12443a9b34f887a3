"""Properties of alignment that hold for any poses, however wrong a detector is."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support.poses import DRIVING, clips, references
from unianimate_core.pose import Pose, align_poses
from unianimate_core.pose.alignment.bone_lengths import LONGEST, PARENT, target_lengths, typical_ratio
from unianimate_core.pose.alignment.bones import own_ratios
from unianimate_core.pose.clip import BODY, KeypointClip

SETTINGS = st.sampled_from([("bones", "robust"), ("bones", "first"), ("similarity", "robust"), ("similarity", "first")])


def largest_difference(poses: list[Pose], others: list[Pose]) -> float:
    a, b = KeypointClip.from_poses(poses), KeypointClip.from_poses(others)
    np.testing.assert_array_equal(a.seen, b.seen)
    return float(np.abs(a.points - b.points).max(initial=0))


def extent(poses: list[Pose]) -> float:
    clip = KeypointClip.from_poses(poses)
    return float(np.abs(clip.points[clip.seen]).max(initial=1))


def can_be_measured(reference: Pose, driving: list[Pose]) -> bool:
    target, clip = KeypointClip.from_poses([reference]), KeypointClip.from_poses(driving)
    targets = target_lengths(target.points[0, BODY], target.seen[0, BODY])
    return typical_ratio(own_ratios(targets, clip)) is not None


@given(references(), clips(), SETTINGS)
def test_aligned_poses_are_finite_and_show_the_same_joints(reference, driving, setting):
    """Users of such packs report infinite limbs from missing joints before anything else."""
    aligned = align_poses(reference, driving, setting[0], scale_from=setting[1])
    before, after = KeypointClip.from_poses(driving), KeypointClip.from_poses(aligned)
    assert np.isfinite(after.points).all()
    np.testing.assert_array_equal(before.scores, after.scores)


@given(references(), clips())
def test_no_bone_exceeds_its_limit(reference, driving):
    """A side view would give giant shoulders. The limit holds in every frame, for bones that the reference shows."""
    targets = target_lengths(reference.body, reference.body_seen)
    assume(can_be_measured(reference, driving))
    for pose in align_poses(reference, driving):
        for child, parent in PARENT.items():
            if child in targets and pose.body_seen[[child, parent]].all():
                length = np.hypot(*(pose.body[child] - pose.body[parent]))
                assert length <= LONGEST * targets[child] * (1 + 1e-6) + 1e-9


@given(references(), clips(), st.sampled_from(["bones", "similarity"]))
def test_aligning_an_aligned_sequence_changes_nothing(reference, driving, mode):
    """A workflow may align twice, and saved aligned keypoints may become driving poses."""
    once = align_poses(reference, driving, mode)
    twice = align_poses(reference, once, mode)
    assert largest_difference(once, twice) <= 1e-7 * extent(once)


@given(references(), clips(), SETTINGS, st.integers(-3, 3), st.tuples(st.floats(-5, 5), st.floats(-5, 5)))
def test_place_and_size_of_the_driving_dancer_do_not_matter(reference, driving, setting, power, shift):
    """The dancer may stand anywhere in the driving video, near or far."""
    assume(can_be_measured(reference, driving))
    assume(setting[1] == "robust" or can_be_measured(reference, driving[:1]))
    scale = 3.0**power
    moved = [pose.moved(lambda points: scale * points + np.array(shift) * scale) for pose in driving]
    options = {"mode": setting[0], "scale_from": setting[1]}
    aligned = align_poses(reference, driving, **options)
    assert largest_difference(aligned, align_poses(reference, moved, **options)) <= 1e-4 * extent(aligned)


@given(references(), clips(), st.integers(0, 24))
def test_aligning_a_long_clip_with_wrong_frames_twice_changes_nothing(reference, wrong, start):
    """The second time, the same frame must lie on the reference, and feet must not be lifted again."""
    clip = [DRIVING[0].moved(lambda points, x=x: points + np.array([0.02 * np.sin(x), 0])) for x in range(24)]
    driving = [*clip[:start], *wrong, *clip[start:]]
    once = align_poses(reference, driving)
    assert largest_difference(once, align_poses(reference, once)) <= 1e-7 * extent(once)


@given(references(), clips())
def test_keeping_the_feet_on_the_ground_moves_all_points_equally(reference, driving):
    """Each frame moves as a whole, straight up or down."""
    kept, left = (align_poses(reference, driving, keep_feet_on_ground=keep) for keep in (True, False))
    for one, other in zip(kept, left, strict=True):
        (points, scores), (others, _) = one.flat(), other.flat()
        steps = (points - others)[scores > 0]
        if len(steps):
            assert np.ptp(steps, axis=0).max() <= 1e-9 * extent(left)
