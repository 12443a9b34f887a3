"""Gaps are filled and reported; smoothing removes jitter and does not delay movement."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.poses import REFERENCE, people, without
from unianimate_core.pose import Pose, PoseError, fill_gaps, smooth_poses
from unianimate_core.pose.cleaning.smooth import DEFAULT_STRENGTH


def moved(x: float) -> Pose:
    return REFERENCE.moved(lambda points: points + np.array([x, 0]))


def clip_with_hole(length: int) -> list[Pose]:
    hidden = range(5, 5 + length)
    return [Pose.empty() if frame in hidden else moved(0.01 * frame) for frame in range(length + 10)]


def test_short_gaps_are_interpolated():
    filled, report = fill_gaps(clip_with_hole(3), longest=3)
    for frame, pose in enumerate(filled):
        np.testing.assert_allclose(pose.body, moved(0.01 * frame).body)
    assert np.flatnonzero(report.interpolated).tolist() == [5, 6, 7]
    assert report.doubt[[4, 5, 7, 8]].tolist() == [0, 1, 1, 0]


def test_long_gaps_repeat_the_last_pose_and_the_report_says_so():
    filled, report = fill_gaps(clip_with_hole(4), longest=3)
    assert all(pose == filled[4] for pose in filled[5:9])
    assert np.flatnonzero(report.repeated).tolist() == [5, 6, 7, 8] and not report.interpolated.any()
    assert "nobody seen in 4, 0 partly interpolated, 4 repeated" in str(report)


def test_a_report_lists_runs_of_frames_in_the_same_state():
    """It shows a user where to look."""
    _, report = fill_gaps([*clip_with_hole(4), *([without(moved(0.13), *range(2, 18))] * 2), Pose.empty()], longest=3)
    assert report.text().split("\n") == [
        report.summary(),
        "frames 5-8: doubt 1.0, nobody seen, repeated",
        "frames 14-15: doubt 0.8",
        "frame 16: doubt 1.0, nobody seen, repeated",
    ]
    assert str(report) == report.text()
    _, report = fill_gaps(clip_with_hole(2))
    assert report.text().split("\n")[1:] == ["frames 5-6: doubt 1.0, nobody seen, interpolated"]


@given(st.lists(people(), max_size=12), st.sampled_from(["interpolate", "repeat", "empty"]), st.floats(0, 1))
def test_a_report_lists_every_doubtful_frame_once(poses, fill, doubtful):
    _, report = fill_gaps(poses, fill)
    listed = []
    for line in report.text(doubtful).split("\n")[1:]:
        numbers = [int(number) for number in line.split(":")[0].split(" ")[1].split("-")]
        listed += range(numbers[0], numbers[-1] + 1)
    expected = (report.doubt > doubtful) | report.absent | report.interpolated | report.repeated
    assert listed == np.flatnonzero(expected).tolist()


def test_gaps_at_the_ends_repeat_the_nearest_pose():
    filled, _ = fill_gaps([Pose.empty(), moved(0), moved(0.1), Pose.empty()])
    assert filled[0] == moved(0) and filled[3] == moved(0.1)


def test_parts_are_interpolated_over_short_gaps_and_stay_unseen_over_long_ones():
    poses = [without(moved(0.01 * frame), *([4] * (3 <= frame < 6)), *([7] * (2 <= frame < 9))) for frame in range(12)]
    filled, report = fill_gaps(poses, longest=4)
    np.testing.assert_allclose(filled[4].body[4], moved(0.04).body[4])
    assert not filled[4].body_seen[7]
    assert report.doubt[[0, 2, 4]] == pytest.approx([0, 0.05, 0.1])


@pytest.mark.parametrize(("fill", "repeated"), [("repeat", 3), ("empty", 0)])
def test_repeat_interpolates_nothing_and_empty_fills_nothing(fill, repeated):
    filled, report = fill_gaps(clip_with_hole(3), fill)
    assert report.repeated.sum() == repeated and not report.interpolated.any()
    assert sum(pose.is_empty for pose in filled) == 3 - repeated


def test_a_clip_that_shows_nobody_stays_empty():
    for poses in ([], [Pose.empty()] * 3):
        filled, report = fill_gaps(poses)
        assert filled == poses and report.doubt.tolist() == [1] * len(poses) and str(report)


@given(st.lists(people(), max_size=8), st.sampled_from(["interpolate", "repeat", "empty"]), st.integers(0, 4))
def test_filling_never_changes_a_measured_joint(poses, fill, longest):
    filled, report = fill_gaps(poses, fill, longest=longest)
    assert ((report.doubt >= 0) & (report.doubt <= 1)).all()
    for before, after in zip(poses, filled, strict=True):
        if before.body_seen.any():
            np.testing.assert_array_equal(after.body[before.body_seen], before.body[before.body_seen])


def test_smoothing_is_off_by_default():
    poses = clip_with_hole(2)
    assert smooth_poses(poses) == poses


def test_steady_movement_does_not_lag_at_the_default_strength():
    """A lag of a twentieth of a frame would be 0.0005. The ends, where one direction has no past, do not count."""
    poses = [moved(0.01 * frame) for frame in range(60)]
    for pose, smoothed in list(zip(poses, smooth_poses(poses, DEFAULT_STRENGTH), strict=True))[15:-15]:
        assert np.abs(pose.body - smoothed.body).max() < 5e-4


def test_a_quick_gesture_keeps_its_place_and_height():
    """The peaks of three waves of a hand per second may lose a twentieth, and not move by a frame."""
    swing = 0.1 * np.sin(2 * np.pi * 3 * np.arange(60) / 30)
    smoothed = smooth_poses([moved(x) for x in swing], DEFAULT_STRENGTH, fps=30)
    swung = np.array([pose.body[4, 0] for pose in smoothed]) - REFERENCE.body[4, 0]
    inner = slice(10, -10)
    lags = [np.dot(swing[inner], np.roll(swung, -lag)[inner]) for lag in (-1, 0, 1)]
    assert np.argmax(lags) == 1
    assert np.ptp(swung[inner]) > 0.95 * np.ptp(swing)


def jitter(score: float, strength: float) -> float:
    """Jitter from frame to frame after smoothing / before, for a person who stands still."""
    rng = np.random.default_rng(0)
    flat, _ = REFERENCE.flat()
    noisy = [Pose.from_flat(flat + 0.003 * rng.standard_normal(flat.shape), np.full(130, score)) for _ in range(60)]
    steps = [np.diff([pose.body for pose in poses], axis=0).std() for poses in (noisy, smooth_poses(noisy, strength))]
    return float(steps[1] / steps[0])


def test_smoothing_removes_jitter_and_more_at_low_scores_or_high_strength():
    assert jitter(1, DEFAULT_STRENGTH) < 0.5
    assert jitter(0.35, DEFAULT_STRENGTH) < jitter(1, DEFAULT_STRENGTH)
    assert jitter(1, 1) < jitter(1, DEFAULT_STRENGTH) < jitter(1, 0.2) < 1


def test_smoothing_does_not_reach_across_gaps():
    poses = [moved(0)] * 5 + [Pose.empty()] * 2 + [moved(0.5)] * 5
    assert all(np.allclose(a.body, b.body) for a, b in zip(smooth_poses(poses, 1), poses, strict=True))


@pytest.mark.parametrize(("strength", "fps"), [(2, 30), (-1, 30), (0.5, 0), (float("nan"), 30)])
def test_settings_out_of_range_are_refused(strength, fps):
    with pytest.raises(PoseError):
        smooth_poses([moved(0)], strength, fps=fps)
