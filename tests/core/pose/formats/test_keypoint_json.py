"""Keypoints of other packs, of editors and of broken files give poses or a clear error."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.poses import REFERENCE, openpose_frame, people, pose_of_openpose
from unianimate_core.pose import (
    Pose,
    PoseError,
    frames_of_people,
    people_by_frame,
    read_keypoints,
    write_keypoints,
)
from unianimate_core.pose.formats.json_file import parse_keypoints

FRAME = openpose_frame(REFERENCE)
PERSON = FRAME["people"][0]

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
)
flat_points = st.sampled_from([18, 21, 25, 6, 68, 70, 20]).flatmap(
    lambda count: (
        st.lists(st.floats(-1e3, 1e3) | scalars, min_size=3 * count, max_size=3 * count)
        | st.just([float("nan")] * 3 * count)
        | st.just([10**400] * 3 * count)
        | st.lists(st.floats(0, 600), min_size=3, max_size=3).map(lambda point: point * count)
    )
)
people_like = st.dictionaries(st.sampled_from([*PERSON, "other"]), flat_points | json_values, max_size=5)
frames_like = st.fixed_dictionaries(
    {},
    optional={
        "canvas_width": st.integers(1, 4096) | scalars,
        "canvas_height": st.integers(1, 4096) | scalars,
        "people": st.lists(people_like | json_values, max_size=3) | json_values,
    },
)


@given(st.lists(frames_like | json_values, max_size=3) | json_values | frames_like)
def test_any_json_gives_poses_or_a_clear_error(document):
    """A bad file may raise nothing except PoseError, with a message of one line."""
    try:
        frames = parse_keypoints(json.dumps(document))
    except PoseError as error:
        assert "\n" not in str(error)
        return
    assert all(np.isfinite(pose.flat()[0]).all() for frame in people_by_frame(frames) for pose in frame)


@given(st.binary(max_size=200))
def test_any_bytes_give_poses_or_a_clear_error(content):
    try:
        parse_keypoints(content)
    except PoseError:
        return
    assert json.loads(content) == []


@given(st.lists(st.lists(people(), max_size=2), max_size=3), st.integers(16, 4096), st.integers(16, 4096))
def test_a_clip_survives_the_round_trip_through_openpose(clip, width, height):
    """Its hands keep their names wherever they lie, whatever the other frames show."""
    back = people_by_frame(json.loads(json.dumps(frames_of_people(clip, width, height))))
    assert [len(frame) for frame in back] == [len(frame) for frame in clip]
    for poses, others in zip(back, clip, strict=True):
        for pose, other in zip(poses, others, strict=True):
            np.testing.assert_allclose(pose.hands, other.hands, rtol=0, atol=1e-12)


@given(people(), st.integers(16, 4096), st.integers(16, 4096))
def test_a_pose_survives_the_round_trip_through_openpose(pose, width, height):
    """To pixels and back, including the feet."""
    back = pose_of_openpose(json.loads(json.dumps(openpose_frame(pose, width, height))))
    for part in ("body", "hands", "face"):
        np.testing.assert_allclose(getattr(back, part), getattr(pose, part), rtol=0, atol=1e-12)


def with_person(**lists) -> dict:
    return {**FRAME, "people": [{**PERSON, **lists}]}


def test_toes_are_read_from_the_feet_of_comfyui():
    """ComfyUI writes big toe, small toe and heel, left first. Our toe needs both toes, and has the lower score."""
    feet = [10, 20, 0.9, 30, 40, 0.5, 0, 0, 0.9, 50, 60, 0.9, 70, 80, 0.2, 0, 0, 0]
    pose = pose_of_openpose(with_person(foot_keypoints_2d=feet))
    np.testing.assert_allclose(pose.body[18] * (512, 768), [20, 30])
    assert pose.body_score[18:].tolist() == [0.5, 0]
    assert pose.body[19].tolist() == [-1, -1]


def test_frames_without_feet_faces_or_hands_are_read():
    """The most used preprocessor writes no feet, and null for parts that it did not find."""
    lists = {"face_keypoints_2d": None, "hand_left_keypoints_2d": None, "hand_right_keypoints_2d": []}
    person = {"pose_keypoints_2d": PERSON["pose_keypoints_2d"], **lists}
    pose = pose_of_openpose({**FRAME, "people": [person]})
    np.testing.assert_allclose(pose.body[:18], REFERENCE.body[:18])
    assert not pose.body_seen[18:].any() and not pose.hand_seen.any() and not pose.face_seen.any()


def test_faces_of_68_points_are_read():
    pose = pose_of_openpose(with_person(face_keypoints_2d=PERSON["face_keypoints_2d"][: 3 * 68]))
    np.testing.assert_allclose(pose.face, REFERENCE.face)


def test_feet_are_read_from_bodies_of_25_points():
    """OpenPose's own program puts the middle of the hips at 8 and the feet at 19 to 24."""
    body = np.array(PERSON["pose_keypoints_2d"]).reshape(18, 3)
    feet = np.array(PERSON["foot_keypoints_2d"]).reshape(6, 3)
    body_25 = np.concatenate([body[:8], [[1, 2, 1]], body[8:], feet]).reshape(-1).tolist()
    pose = pose_of_openpose({**FRAME, "people": [{"pose_keypoints_2d": body_25}]})
    np.testing.assert_allclose(pose.body, REFERENCE.body)


def test_coordinates_in_fractions_of_the_canvas_are_recognized():
    """Some packs write 0..1 with a canvas of hundreds of pixels."""
    fractions = openpose_frame(REFERENCE, 1, 1)["people"]
    pose = pose_of_openpose({**FRAME, "people": fractions})
    np.testing.assert_allclose(pose.body, REFERENCE.body)


def person_with_hands(left_at: int, right_at: int) -> Pose:
    """The reference, with a small open hand at each of the two joints."""
    fan = np.array([[0, 0], *([x, y] for x in np.linspace(-0.03, 0.03, 5) for y in np.linspace(0.03, 0.06, 4))])
    hands = REFERENCE.body[[left_at, right_at], None] + fan
    return Pose(REFERENCE.body, hands, REFERENCE.face)


def of_another_pack(pose: Pose) -> dict:
    """The frame that this pack writes, without its mark."""
    frame = openpose_frame(pose)
    return {name: frame[name] for name in ("canvas_width", "canvas_height", "people")}


def test_exchanged_hand_names_are_corrected():
    """Otherwise each hand would move with the other arm."""
    right, wrong = person_with_hands(7, 4), person_with_hands(4, 7)
    np.testing.assert_allclose(pose_of_openpose(of_another_pack(wrong)).hands, right.hands)
    np.testing.assert_allclose(pose_of_openpose(of_another_pack(right)).hands, right.hands)


def test_hands_away_from_both_wrists_keep_their_names():
    """Only a hand at the other wrist is evidence of exchanged names."""
    odd = person_with_hands(4, 0)
    np.testing.assert_allclose(pose_of_openpose(of_another_pack(odd)).hands, odd.hands)


def test_frames_of_this_pack_keep_their_hand_names():
    """A user may place hands at the other wrist, and must read back what was saved."""
    crossed = person_with_hands(4, 7)
    np.testing.assert_allclose(pose_of_openpose(openpose_frame(crossed)).hands, crossed.hands)
    clip = [of_another_pack(person_with_hands(4, 7)), openpose_frame(crossed)]
    people = [pose for (pose,) in people_by_frame(clip)]
    np.testing.assert_allclose(people[0].hands, person_with_hands(7, 4).hands)
    np.testing.assert_allclose(people[1].hands, crossed.hands)


def clip_of_hands(exchanged: bool, unseen: set[int], meeting: set[int], odd: set[int]) -> list[Pose]:
    """20 frames of hands at their own or the other wrist; some with an unseen wrist, hands that meet, or odd names."""
    clip = []
    for frame in range(20):
        pose = person_with_hands(*((4, 7) if exchanged != (frame in odd) else (7, 4)))
        body, hands, score = pose.body.copy(), pose.hands.copy(), pose.body_score.copy()
        if frame in unseen:
            score[4] = 0
        if frame in meeting:
            hands += (body[0] - hands[:, :1]) + np.array([[[-0.01, 0]], [[0.01, 0]]])
            body[[4, 7]] = hands[::-1, 0] if exchanged else hands[:, 0]
        clip.append(Pose(body, hands, pose.face, score))
    return clip


few = st.sets(st.integers(0, 19), max_size=8)


@given(st.booleans(), few, few, st.sets(st.integers(0, 19), max_size=2))
def test_hands_are_exchanged_in_all_frames_of_a_clip_or_in_none(exchanged, unseen, meeting, odd):
    """An extractor names hands in one way: frames without evidence follow those with evidence."""
    clip = clip_of_hands(exchanged, unseen, meeting, odd)
    for (pose,), named in zip(people_by_frame([of_another_pack(pose) for pose in clip]), clip, strict=True):
        np.testing.assert_allclose(pose.hands, named.hands[::-1] if exchanged else named.hands)


def test_a_frame_without_people_gives_nobody():
    assert people_by_frame([{**FRAME, "people": []}]) == [[]]


@pytest.mark.parametrize(
    ("frame", "names"),
    [
        ([FRAME], "list"),
        ({"people": []}, "canvas_width"),
        ({**FRAME, "canvas_width": 10**9}, "canvas_width is 1000000000"),
        ({**FRAME, "canvas_height": 0}, "canvas_height is 0"),
        ({**FRAME, "canvas_height": float("nan")}, "canvas_height is nan"),
        ({**FRAME, "people": None}, "people is None"),
        ({**FRAME, "people": [{}]}, "another format"),
        (with_person(pose_keypoints_2d=[1.0] * 51), "51 values"),
        (with_person(pose_keypoints_2d=[float("nan")] * 54), "value nan"),
        (with_person(pose_keypoints_2d=["1"] * 54), "value '1'"),
        (with_person(pose_keypoints_2d=[1e9, 1e9, 1.0] * 18), "a keypoint lies more than 1000 canvases away"),
    ],
)
def test_errors_name_what_is_wrong_with_a_frame(frame, names):
    with pytest.raises(PoseError, match=names):
        people_by_frame([frame])


def test_a_million_frames_are_refused():
    with pytest.raises(PoseError, match=r"1,000,000 frames.*limit is 100,000"):
        people_by_frame([FRAME] * 1_000_000)


def test_a_file_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "new" / "keypoints.json"
    write_keypoints(path, [FRAME, {**FRAME, "people": []}])
    assert read_keypoints(path) == [FRAME, {**FRAME, "people": []}]
    assert [entry.name for entry in path.parent.iterdir()] == ["keypoints.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    """Nobody who edited keypoints for an hour may lose them."""
    path = tmp_path / "keypoints.json"
    write_keypoints(path, [FRAME])
    with pytest.raises(PoseError):
        write_keypoints(path, [{**FRAME, "canvas_width": -1}])
    with pytest.raises(PoseError, match="cannot be written"):
        write_keypoints(path, [{**FRAME, "extra": {1, 2}}])
    assert read_keypoints(path) == [FRAME]
    assert len(list(tmp_path.iterdir())) == 1


def test_errors_name_a_file_that_is_missing_or_not_json(tmp_path):
    with pytest.raises(PoseError, match=r"no keypoint file at .*absent\.json"):
        read_keypoints(tmp_path / "absent.json")
    (tmp_path / "broken.json").write_text("[{")
    with pytest.raises(PoseError, match=r"broken\.json cannot be used: it is not JSON"):
        read_keypoints(tmp_path / "broken.json")
