"""Parts, strokes, sizes and several people in drawn poses. tests/parity compares the pixels with the authors'."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import DATA
from tests.support.poses import REFERENCE, people
from unianimate_core.pose import (
    DrawingStyle,
    Pose,
    PoseError,
    draw_people,
    draw_pose,
    draw_poses,
    iter_drawn,
    iter_drawn_people,
)
from unianimate_core.pose.drawing.resize import resize_bilinear

HANDS = json.loads((DATA / "draw_hands.json").read_text())["pose"]


def lit(image: np.ndarray) -> int:
    return int(image.any(-1).sum())


def shifted(x: float) -> Pose:
    return REFERENCE.moved(lambda points: points + np.array([x, 0]))


@pytest.mark.parametrize("part", ["hands", "feet", "head"])
def test_each_part_can_be_left_out(part):
    everything, less = draw_pose(REFERENCE, 768, 512), draw_pose(REFERENCE, 768, 512, **{part: False})
    assert 0 < lit(less) < lit(everything)


def test_leaving_out_feet_and_head_changes_nothing_else():
    """The drawing equals that of a pose without these joints."""
    score = np.ones(20)
    score[[0, 14, 15, 16, 17, 18, 19]] = 0
    cut = Pose(REFERENCE.body, REFERENCE.hands, REFERENCE.face, score)
    np.testing.assert_array_equal(draw_pose(REFERENCE, 768, 512, feet=False, head=False), draw_pose(cut, 768, 512))


def test_wider_strokes_cover_more_pixels():
    wide, usual = draw_pose(REFERENCE, 768, 512, stick_width=8, point_radius=8), draw_pose(REFERENCE, 768, 512)
    assert lit(wide) > 1.5 * lit(usual)
    assert lit(draw_pose(Pose(**HANDS), 768, 512, hand_width=5)) > lit(draw_pose(Pose(**HANDS), 768, 512))


def test_an_empty_pose_is_black():
    assert not draw_pose(Pose.empty(), 64, 48, face=True).any()


@given(people(), st.sampled_from([1e-3, 1, 30, 1e6, 1e300]))
def test_any_pose_can_be_drawn(pose, scale):
    """Joints far outside the image must not fail or take long."""
    drawn = draw_pose(pose.moved(lambda points: points * scale), 96, 64, face=True)
    assert drawn.shape == (96, 64, 3) and drawn.dtype == np.uint8


@given(st.lists(people(), max_size=4), st.booleans())
def test_each_of_several_people_is_drawn_as_alone_over_those_before(several, face):
    """Each person must look as in training. No stroke is black, so a lit pixel covers what is below it."""
    expected = np.zeros((96, 64, 3), np.uint8)
    for pose in several:
        alone = draw_pose(pose, 96, 64, face=face)
        expected = np.where(alone.any(-1, keepdims=True), alone, expected)
    np.testing.assert_array_equal(draw_people(several, 96, 64, face=face), expected)


@pytest.mark.parametrize("size", [(192, 128), (768, 512), (900, 700)])
def test_frames_of_several_people_are_drawn_on_either_canvas(size):
    """Frames may show nobody, or a different number of people each."""
    frames = [[shifted(-0.2), shifted(0.2)], [], [shifted(0.1)], [shifted(0), Pose.empty(), Pose(**HANDS)]]
    trained = list(iter_drawn_people(frames, *size, feet=False))
    own = list(iter_drawn_people(frames, *size, canvas="own", feet=False))
    style = DrawingStyle(feet=False).scaled((size[0] * size[1] / (768 * 512)) ** 0.5)
    for number, frame in enumerate(frames):
        on_trained_canvas = draw_people(frame, 768, 512, feet=False)
        np.testing.assert_array_equal(trained[number], resize_bilinear(on_trained_canvas, *size))
        np.testing.assert_array_equal(own[number], draw_people(frame, *size, **vars(style)))


def test_clips_are_drawn_on_the_trained_canvas_by_default():
    """Drawn at 512x768 and then scaled, strokes look as in training whatever the clip's size."""
    poses = [REFERENCE, Pose.empty(), Pose(**HANDS)]
    at_its_size = draw_poses(poses, 768, 512)
    for drawn, pose in zip(at_its_size, poses, strict=True):
        np.testing.assert_array_equal(drawn, draw_pose(pose, 768, 512))
    halved = draw_poses(poses, 384, 256)
    assert halved.shape == (3, 384, 256, 3)
    assert halved.mean() == pytest.approx(at_its_size.mean(), rel=0.02)


def test_canvas_own_draws_at_the_clips_size_with_strokes_in_proportion():
    drawn = draw_poses([REFERENCE], 1536, 1024, canvas="own")[0]
    np.testing.assert_array_equal(
        drawn, draw_pose(REFERENCE, 1536, 1024, stick_width=8, hand_width=4, point_radius=8, face_radius=6)
    )


def test_drawing_in_threads_keeps_the_order():
    poses = [shifted(x / 100) for x in range(25)]
    for drawn, pose in zip(iter_drawn(poses, 192, 128, canvas="own", threads=2), poses, strict=True):
        expected = draw_pose(pose, 192, 128, stick_width=1, hand_width=1, point_radius=1, face_radius=1)
        np.testing.assert_array_equal(drawn, expected)
    assert draw_poses([], 64, 64).shape == (0, 64, 64, 3)


def test_errors_name_an_impossible_size_or_canvas():
    with pytest.raises(PoseError, match="0x64"):
        draw_pose(REFERENCE, 64, 0)
    with pytest.raises(PoseError, match="canvas is 'clip'"):
        draw_poses([REFERENCE], 64, 64, canvas="clip")


@pytest.mark.parametrize("stroke", ["stick_width", "hand_width", "point_radius", "face_radius"])
@pytest.mark.parametrize("value", [-3, 0, 1025, 10**9, 2.5, float("nan"), True, None])
def test_errors_name_an_impossible_stroke(stroke, value):
    """OpenCV draws some of these, and crashes the process for others."""
    with pytest.raises(PoseError, match=f"^{stroke} is .*1 to 1024$"):
        draw_pose(REFERENCE, 64, 64, **{stroke: value})
    for canvas in ("trained", "own"):
        with pytest.raises(PoseError, match=f"^{stroke} is"):
            draw_poses([REFERENCE], 64, 64, canvas=canvas, **{stroke: value})


def test_the_widest_strokes_can_be_drawn():
    assert draw_poses([REFERENCE], 1536, 1024, canvas="own", stick_width=1024, point_radius=np.int64(1024)).any()
