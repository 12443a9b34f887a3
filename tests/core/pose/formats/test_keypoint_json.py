"""Key points come from other packs, from editors and from broken files: only poses or a clear error come out."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.poses import REFERENCE, people
from unianimate_core.pose import (
    Pose,
    PoseError,
    frames_of_people,
    people_by_frame,
    people_of_frame,
    read_keypoints,
    write_keypoints,
)
from unianimate_core.pose.formats.json_file import parse_keypoints

FRAME = REFERENCE.to_openpose(512, 768)
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
    """Nothing but PoseError, a ValueError of one line, may come out of a bad file."""
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
def test_a_clip_survives_openpose(clip, width, height):
    """With its hands, wherever they lie, and among frames of any other kind."""
    back = people_by_frame(json.loads(json.dumps(frames_of_people(clip, width, height))))
    assert [len(frame) for frame in back] == [len(frame) for frame in clip]
    for poses, others in zip(back, clip, strict=True):
        for pose, other in zip(poses, others, strict=True):
            np.testing.assert_allclose(pose.hands, other.hands, rtol=0, atol=1e-12)


@given(people(), st.integers(16, 4096), st.integers(16, 4096))
def test_a_pose_survives_openpose(pose, width, height):
    """To pixels and back, feet included."""
    back = Pose.from_openpose(json.loads(json.dumps(pose.to_openpose(width, height))))
    for part in ("body", "hands", "face"):
        np.testing.assert_allclose(getattr(back, part), getattr(pose, part), rtol=0, atol=1e-12)


def with_person(**lists) -> dict:
    return {**FRAME, "people": [{**PERSON, **lists}]}


def test_the_feet_of_comfyui_make_the_toes():
    """ComfyUI writes big toe, small toe and heel, left first; a toe counts where both are seen, by the lower score."""
    feet = [10, 20, 0.9, 30, 40, 0.5, 0, 0, 0.9, 50, 60, 0.9, 70, 80, 0.2, 0, 0, 0]
    pose = Pose.from_openpose(with_person(foot_keypoints_2d=feet))
    np.testing.assert_allclose(pose.body[18] * (512, 768), [20, 30])
    assert pose.body_score[18:].tolist() == [0.5, 0]
    assert pose.body[19].tolist() == [-1, -1]


def test_preprocessors_without_feet_faces_or_hands_are_read():
    """The most used one writes no feet, and null for what it did not find."""
    lists = {"face_keypoints_2d": None, "hand_left_keypoints_2d": None, "hand_right_keypoints_2d": []}
    person = {"pose_keypoints_2d": PERSON["pose_keypoints_2d"], **lists}
    pose = Pose.from_openpose({**FRAME, "people": [person]})
    np.testing.assert_allclose(pose.body[:18], REFERENCE.body[:18])
    assert not pose.body_seen[18:].any() and not pose.hand_seen.any() and not pose.face_seen.any()


def test_faces_of_68_points_are_read():
    pose = Pose.from_openpose(with_person(face_keypoints_2d=PERSON["face_keypoints_2d"][: 3 * 68]))
    np.testing.assert_allclose(pose.face, REFERENCE.face)


def test_bodies_of_25_points_bring_their_own_feet():
    """OpenPose's own programme puts the middle of the hips at 8 and the feet at 19 to 24."""
    body = np.array(PERSON["pose_keypoints_2d"]).reshape(18, 3)
    feet = np.array(PERSON["foot_keypoints_2d"]).reshape(6, 3)
    body_25 = np.concatenate([body[:8], [[1, 2, 1]], body[8:], feet]).reshape(-1).tolist()
    pose = Pose.from_openpose({**FRAME, "people": [{"pose_keypoints_2d": body_25}]})
    np.testing.assert_allclose(pose.body, REFERENCE.body)


def test_coordinates_in_fractions_of_the_canvas_are_recognized():
    """Some packs write 0..1 beside a canvas of hundreds of pixels."""
    fractions = REFERENCE.to_openpose(1, 1)["people"]
    pose = Pose.from_openpose({**FRAME, "people": fractions})
    np.testing.assert_allclose(pose.body, REFERENCE.body)


def person_with_hands(left_at: int, right_at: int) -> Pose:
    """The reference with a small open hand at each of the two joints."""
    fan = np.array([[0, 0], *([x, y] for x in np.linspace(-0.03, 0.03, 5) for y in np.linspace(0.03, 0.06, 4))])
    hands = REFERENCE.body[[left_at, right_at], None] + fan
    return Pose(REFERENCE.body, hands, REFERENCE.face)


def of_another_pack(pose: Pose) -> dict:
    """As we write it, without the mark."""
    frame = pose.to_openpose(512, 768)
    return {name: frame[name] for name in ("canvas_width", "canvas_height", "people")}


def test_hands_named_the_wrong_way_round_are_put_right():
    """An extractor that calls the left hand right would have each hand ride on the other arm."""
    right, wrong = person_with_hands(7, 4), person_with_hands(4, 7)
    np.testing.assert_allclose(Pose.from_openpose(of_another_pack(wrong)).hands, right.hands)
    np.testing.assert_allclose(Pose.from_openpose(of_another_pack(right)).hands, right.hands)


def test_hands_that_are_elsewhere_keep_their_names():
    """Only a hand at the other wrist is taken for the other hand."""
    odd = person_with_hands(4, 0)
    np.testing.assert_allclose(Pose.from_openpose(of_another_pack(odd)).hands, odd.hands)


def test_frames_that_we_wrote_keep_the_names_of_their_hands():
    """A user may want hands where they are, and what we save must come back."""
    crossed = person_with_hands(4, 7)
    np.testing.assert_allclose(Pose.from_openpose(crossed.to_openpose(512, 768)).hands, crossed.hands)
    clip = [of_another_pack(person_with_hands(4, 7)), crossed.to_openpose(512, 768)]
    people = [pose for (pose,) in people_by_frame(clip)]
    np.testing.assert_allclose(people[0].hands, person_with_hands(7, 4).hands)
    np.testing.assert_allclose(people[1].hands, crossed.hands)


def clip_of_hands(exchanged: bool, unseen: set[int], meeting: set[int], odd: set[int]) -> list[Pose]:
    """20 frames of hands at their wrists or at each other's; with a wrist unseen, hands that meet, or the opposite."""
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
def test_hands_are_exchanged_throughout_a_clip_or_nowhere(exchanged, unseen, meeting, odd):
    """An extractor does not change its mind: frames that cannot be told go with those that can."""
    clip = clip_of_hands(exchanged, unseen, meeting, odd)
    for (pose,), named in zip(people_by_frame([of_another_pack(pose) for pose in clip]), clip, strict=True):
        np.testing.assert_allclose(pose.hands, named.hands[::-1] if exchanged else named.hands)


def test_a_frame_without_people_is_an_empty_pose():
    assert Pose.from_openpose({**FRAME, "people": []}).is_empty


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
        (with_person(pose_keypoints_2d=[1e9, 1e9, 1.0] * 18), "canvases away"),
    ],
)
def test_what_is_not_a_frame_of_key_points_is_named(frame, names):
    with pytest.raises(PoseError, match=names):
        people_of_frame(frame)


def test_a_million_frames_are_refused():
    with pytest.raises(PoseError, match=r"1,000,000 frames.*limit is 100,000"):
        people_by_frame([FRAME] * 1_000_000)


def test_files_are_read_as_written(tmp_path):
    path = tmp_path / "new" / "keypoints.json"
    write_keypoints(path, [FRAME, {**FRAME, "people": []}])
    assert read_keypoints(path) == [FRAME, {**FRAME, "people": []}]
    assert [entry.name for entry in path.parent.iterdir()] == ["keypoints.json"]


def test_a_failed_write_leaves_the_old_file(tmp_path):
    """Whoever edited key points for an hour must not lose them."""
    path = tmp_path / "keypoints.json"
    write_keypoints(path, [FRAME])
    with pytest.raises(PoseError):
        write_keypoints(path, [{**FRAME, "canvas_width": -1}])
    with pytest.raises(PoseError, match="cannot be written"):
        write_keypoints(path, [{**FRAME, "extra": {1, 2}}])
    assert read_keypoints(path) == [FRAME]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_is_not_there_or_not_json_is_named(tmp_path):
    with pytest.raises(PoseError, match=r"no file of key points at .*absent\.json"):
        read_keypoints(tmp_path / "absent.json")
    (tmp_path / "broken.json").write_text("[{")
    with pytest.raises(PoseError, match=r"broken\.json cannot be used: it is not JSON"):
        read_keypoints(tmp_path / "broken.json")
