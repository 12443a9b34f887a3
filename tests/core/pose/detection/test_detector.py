"""Videos through the detector: order, bounded memory, searched frames and the frames between them."""

import numpy as np
import pytest

from tests.support.pose_networks import recorded_image, write_detector, write_keypoint_network
from unianimate_core.pose import PoseDetector, PoseError
from unianimate_core.pose.detection import pipeline
from unianimate_core.pose.detection.boxes_over_time import matched_boxes
from unianimate_core.pose.detection.yolox import suppress_duplicates


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    return write_detector(folder / "detector.onnx"), write_keypoint_network(folder / "keypoints.onnx")


@pytest.fixture(scope="module")
def detector(files):
    return PoseDetector(*files, device="cpu")


def video(count: int) -> list[np.ndarray]:
    """Frames that change slowly."""
    image = recorded_image().astype(int)
    return [(image + number).clip(0, 255).astype(np.uint8) for number in range(count)]


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 17])
def test_every_frame_gives_what_it_gives_alone_and_in_order(detector, count):
    """Its place in a chunk must not matter."""
    frames = video(count)
    together = detector(iter(frames))
    alone = [detector([frame])[0] for frame in frames]
    assert [len(people) for people in together] == [2] * count
    for people, expected in zip(together, alone, strict=True):
        for pose, other in zip(people, expected, strict=True):
            np.testing.assert_allclose(pose.body, other.body, atol=1e-6)


def test_few_frames_are_read_ahead(detector):
    """Memory stays flat: it never holds more than a few chunks of a video."""
    read = 0

    def endless():
        nonlocal read
        frame = video(1)[0]
        while True:
            read += 1
            yield frame

    poses = detector.iter_poses(endless())
    for _ in range(20):
        next(poses)
    poses.close()
    assert read <= 20 + 4 * pipeline.CHUNK


def test_an_error_of_the_reader_reaches_the_caller(detector):
    def broken():
        yield from video(3)
        raise OSError("the file ends here")

    with pytest.raises(OSError, match="the file ends here"):
        detector(broken())


@pytest.mark.parametrize("detect_every", [2, 3, 8, 30])
def test_between_searched_frames_boxes_move_in_straight_lines(detector, detect_every, monkeypatch):
    """If people hardly move, as here, boxes between searched frames are where a search would find them."""
    searched = []
    search = pipeline.search
    monkeypatch.setattr(pipeline, "search", lambda network, frames: searched.extend(frames) or search(network, frames))
    frames = video(21)
    followed = detector(frames, detect_every=detect_every)
    assert len(searched) == len({*range(0, 21, detect_every), 20})
    keypoints = [np.array([pose.body for pose in people]) for people in followed]
    expected = [np.array([pose.body for pose in people]) for people in detector(frames)]
    assert np.mean([np.abs(a - b).mean() for a, b in zip(keypoints, expected, strict=True)]) < 0.02


def test_frames_between_are_searched_if_people_change(detector, monkeypatch):
    """A person who appears between two searched frames is found from the first frame on."""
    boxes = np.array([[0, 0, 10, 20], [30, 0, 40, 20]], np.float32)
    search = pipeline.search

    def one_person_at_first(network, frames):
        return [
            type(found)(found.boxes[: 1 + int(frame[0, 0, 0])], found.scores, found.best_score)
            for found, frame in zip(search(network, frames), frames, strict=True)
        ]

    monkeypatch.setattr(pipeline, "search", one_person_at_first)
    frames = video(12)
    for number, frame in enumerate(frames):
        frame[0, 0, 0] = number >= 5
    people = detector(frames, detect_every=8)
    assert [len(found) for found in people] == [1] * 5 + [2] * 7
    assert matched_boxes(boxes, boxes[:1]) is None
    assert matched_boxes(boxes, boxes + 30) is None
    np.testing.assert_array_equal(matched_boxes(boxes, boxes[::-1]), boxes)


def test_without_people_the_call_gives_nobody_and_wholebody_uses_the_image(files, tmp_path):
    """The authors' code uses the whole image; in a video without people that would invent poses."""
    detector = PoseDetector(write_detector(tmp_path / "empty.onnx", people=[]), files[1], device="cpu")
    image = recorded_image()
    assert detector([image, image]) == [[], []]
    keypoints, scores = detector.wholebody(image)
    assert keypoints.shape == (1, 134, 2) and scores.shape == (1, 134)
    with pytest.raises(PoseError, match=r"nobody was found in the reference image of 360x480 .*best score 0\.22"):
        detector.require_people(image)


def test_networks_are_loaded_again_after_release(detector):
    """ComfyUI may free the memory of models between any two runs."""
    before = detector(video(1))[0][0]
    detector.release()
    assert detector(video(1))[0][0] == before


@pytest.mark.parametrize(
    ("frame", "names"),
    [
        (np.zeros((8, 8, 3), np.float32), "float32"),
        (np.zeros((8, 8), np.uint8), r"\(8, 8\)"),
        (np.zeros((0, 8, 3), np.uint8), "8x0"),
        (None, "NoneType"),
    ],
)
def test_errors_name_what_is_wrong_with_a_frame(detector, frame, names):
    with pytest.raises(PoseError, match=names):
        detector([frame])
    with pytest.raises(PoseError, match=names):
        detector.wholebody(frame)


def test_the_best_of_overlapping_boxes_is_kept():
    boxes = np.array([[0, 0, 99, 99], [0, 0, 99, 109], [200, 0, 299, 99]], np.float32)
    assert suppress_duplicates(boxes, np.array([0.5, 0.9, 0.7], np.float32)).tolist() == [1, 2]
    assert suppress_duplicates(boxes[:0], np.zeros(0, np.float32)).tolist() == []
