"""Data: drawn people, videos with keypoints, and the sequences prepared from them."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.dancer_videos import FRAMES, dancer, write_video
from tests.support.poses import openpose_frame
from tests.support.training import SIZE, Squares, linear
from unianimate_core.drawn_world.characters import WorldSettings, draw_clip
from unianimate_core.pose import Pose, draw_poses, write_keypoints
from unianimate_core.training.data.prepare import prepare_sequences, prepared_sequences
from unianimate_core.training.data.sources import DrawnPeople, VideoFolder, cover_image, cover_pose
from unianimate_core.training.settings import TrainingError
from unianimate_core.vae.autoencoder import Autoencoder
from unianimate_core.vae.linear import decode_enlarged, encode


def folder_of(path: Path) -> VideoFolder:
    return VideoFolder(path, SIZE, SIZE, 2)


def test_a_video_is_prepared_with_the_poses_beside_it(tmp_path):
    """After the image is cropped, the dancer of each frame is still in the same place on it."""
    write_video(tmp_path, "dance")
    source = folder_of(tmp_path)
    prepare_sequences(source, tmp_path / "data", linear())
    (sequence,) = prepared_sequences(source, tmp_path / "data", linear())
    assert (sequence.name, sequence.length) == ("dance.mp4", FRAMES)
    images = sequence.images(range(FRAMES))
    assert images.shape == (FRAMES, SIZE, SIZE, 3)
    assert images.float().mean((1, 2, 3)).numpy() == pytest.approx(40 + 30 * np.arange(FRAMES), abs=3)
    expected = [cover_pose(dancer(frame), (96, 64), (SIZE, SIZE)) for frame in range(FRAMES)]
    assert np.array_equal(sequence.poses(range(FRAMES)).numpy(), draw_poses(expected, SIZE, SIZE))
    # 64 of the 96 pixels of the width remain, so distances from the center grow by half.
    assert expected[0].body[2] == pytest.approx([0.5 - 1.5 * 0.1, 0.3])
    assert sequence.latents([3, 1]).shape == (4, 2, SIZE // 8, SIZE // 8)
    assert not sequence.latents([3]).equal(sequence.latents([1]))


@pytest.mark.parametrize("size", [(96, 64), (64, 96), (640, 480), (50, 300)])
def test_images_and_poses_are_cropped_the_same_way(size):
    """A dot at a joint is still at the joint."""
    width, height = size
    for x, y in ((0.5, 0.5), (0.45, 0.55), (0.55, 0.5)):
        image = np.zeros((height, width, 3), np.uint8)
        image[int(y * height) - 3 : int(y * height) + 4, int(x * width) - 3 : int(x * width) + 4] = 255
        body = np.full((20, 2), -1.0)
        body[0] = x, y
        point = cover_pose(replace(Pose.empty(), body=body, body_score=None), size, (64, 128)).body[0] * (64, 128)
        cut = cover_image(image, 128, 64)
        assert cut.shape == (128, 64, 3)
        rows, columns = np.nonzero(cut[..., 0] > 127)
        if len(rows):
            assert [columns.mean(), rows.mean()] == pytest.approx(point, abs=2.5)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda folder: None, "holds no video .* put videos there"),
        (lambda folder: (folder / "a.mp4").write_bytes(b""), r"1 of 1 videos have no keypoints \(a\.mp4\)"),
        (
            lambda folder: (write_video(folder, "a"), (folder / "a.mp4").write_bytes(b"no video")),
            r"a\.mp4 cannot be read as a video",
        ),
        (lambda folder: write_video(folder, "a", keypoints=4), r"a\.mp4 has 5 frames, a\.json 4: find the poses"),
        (lambda folder: write_video(folder, "a", keypoints=7), r"a\.mp4 has 5 frames, a\.json 7: find the poses"),
        (lambda folder: write_video(folder, "a", 1, 1), r"a\.mp4 has keypoints for 1 frames, a clip needs 2"),
        (
            lambda folder: (write_video(folder, "a"), (folder / "a.json").write_text("{]")),
            r"a\.json cannot be used: it is not JSON",
        ),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_unusable_data_is_refused_in_one_sentence(tmp_path, made, message, workers):
    """Whether this process reads it or a worker does."""
    made(tmp_path)
    with pytest.raises(TrainingError, match=message):
        prepare_sequences(folder_of(tmp_path), tmp_path / "data", linear(), workers=workers)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="there is no folder"):
        folder_of(tmp_path / "absent")


def test_long_videos_are_cut_into_sequences(tmp_path, monkeypatch):
    monkeypatch.setattr("unianimate_core.training.data.sources.MAX_FRAMES", 3)
    write_video(tmp_path, "dance")
    source = folder_of(tmp_path)
    assert source.names == ["dance.mp4", "dance.mp4 from frame 2"]
    first, second = source.read(0), source.read(1)
    assert (len(first.images), len(second.images)) == (2, 3)
    assert second.images[0].mean() == pytest.approx(100, abs=3)


def test_no_piece_of_a_video_is_too_short_for_a_clip(tmp_path, monkeypatch):
    """Even if clips are longer than a piece would be."""
    monkeypatch.setattr("unianimate_core.training.data.sources.MAX_FRAMES", 3)
    write_video(tmp_path, "dance")
    assert VideoFolder(tmp_path, SIZE, SIZE, 4).names == ["dance.mp4"]


def test_hidden_and_validation_videos_are_skipped(tmp_path):
    """macOS leaves ._dance.mp4 on disks of other systems, and a run in the folder writes validation videos there."""
    (tmp_path / "run" / "validation" / "step_00000002").mkdir(parents=True)
    write_video(tmp_path, "dance")
    (tmp_path / "._dance.mp4").write_bytes(b"of macOS")
    (tmp_path / "run" / "validation" / "step_00000002" / "00.mp4").write_bytes(b"of a run")
    source = VideoFolder(tmp_path, SIZE, SIZE, 2, excluded=tmp_path / "run" / "validation")
    assert source.names == ["dance.mp4"]


def test_a_copied_video_has_the_same_key_and_an_edited_one_has_not(tmp_path):
    """A folder that was copied to another machine is not encoded again, and its run continues."""
    (tmp_path / "one").mkdir()
    write_video(tmp_path / "one", "dance")
    for name in ("two", "three"):
        shutil.copytree(tmp_path / "one", tmp_path / name, copy_function=shutil.copyfile)
    os.utime(tmp_path / "two" / "dance.mp4", (0, 0))
    write_keypoints(tmp_path / "three" / "dance.json", [openpose_frame(dancer(0), 96, 64)] * FRAMES)
    one, two, three = (folder_of(tmp_path / name) for name in ("one", "two", "three"))
    assert one.key(0) == two.key(0) != three.key(0)
    assert one.description() == two.description() != three.description()


@pytest.mark.parametrize("most", [1, 3])
def test_a_limited_number_of_sequences_comes_from_as_many_videos_as_possible(tmp_path, monkeypatch, most):
    """Validation sees more than one dance, and only what it needs is encoded."""
    monkeypatch.setattr("unianimate_core.training.data.sources.MAX_FRAMES", 3)
    write_video(tmp_path, "one")
    write_video(tmp_path, "two")
    source = VideoFolder(tmp_path, SIZE, SIZE, 2, max_sequences=most)
    assert source.names == ["one.mp4", "two.mp4", "one.mp4 from frame 2"][:most]


@pytest.mark.parametrize("frames", [FRAMES, 3])
def test_a_video_without_a_person_is_refused_by_name(tmp_path, monkeypatch, frames):
    """It would teach the network to paint people without poses. A part of a video counts too."""
    monkeypatch.setattr("unianimate_core.training.data.sources.MAX_FRAMES", frames)
    write_video(tmp_path, "dance")
    shown = [dancer(frame) if frame < FRAMES - frames else Pose.empty() for frame in range(FRAMES)]
    write_keypoints(tmp_path / "dance.json", [openpose_frame(pose, 96, 64) for pose in shown])
    name = "dance.mp4" if frames == FRAMES else "dance.mp4 from frame 2"
    with pytest.raises(TrainingError, match=f"nobody was found in the {frames} frames of {name}: remove the video"):
        prepare_sequences(folder_of(tmp_path), tmp_path / "data", linear())


def test_old_versions_of_opencv_can_read_sequences(tmp_path, monkeypatch):
    """OpenCV before 4.11 cannot decode to RGB."""
    prepare_sequences(Squares(1), tmp_path, linear())
    monkeypatch.delattr("cv2.IMREAD_COLOR_RGB", raising=False)
    (sequence,) = prepared_sequences(Squares(1), tmp_path, linear())
    truth = np.stack(Squares().read(0).images)
    assert np.abs(sequence.images(range(4)).numpy().astype(int) - truth).mean() < 3


def test_prepared_data_is_not_prepared_again(tmp_path, monkeypatch):
    """A repeated run starts at once. Only a damaged file is written again."""
    source, read = Squares(), []
    prepare_sequences(source, tmp_path, linear())
    monkeypatch.setattr(
        Squares, "read", lambda self, index, read_=Squares.read: read.append(index) or read_(self, index)
    )
    prepare_sequences(source, tmp_path, linear())
    assert read == []
    path = prepared_sequences(source, tmp_path, linear())[1].path
    path.write_bytes(path.read_bytes()[:50])
    prepare_sequences(source, tmp_path, linear())
    assert read == [1]


def test_data_that_another_machine_prepared_must_be_on_shared_storage(tmp_path):
    """Each process prepares a share, and sees the other shares only there."""
    prepare_sequences(Squares(), tmp_path, linear(), share=(0, 2))
    sentence = "lacks data that another process prepared: put the run's folder, or its cache, on storage"
    with pytest.raises(TrainingError, match=sentence):
        prepared_sequences(Squares(), tmp_path, linear())


def test_each_vae_has_its_own_prepared_data(tmp_path):
    prepare_sequences(Squares(), tmp_path, linear())
    other = Autoencoder(lambda images: 2 * encode(images), decode_enlarged, "other")
    prepare_sequences(Squares(), tmp_path, other)
    one, two = (prepared_sequences(Squares(), tmp_path, vae)[0].latents([0]) for vae in (linear(), other))
    torch.testing.assert_close(2 * one, two, rtol=1e-2, atol=1e-2)


def test_latents_that_are_not_finite_are_refused(tmp_path):
    broken = Autoencoder(lambda images: encode(images) / 0, decode_enlarged, "broken")
    with pytest.raises(ValueError, match="the VAE's latents of square 0 are not finite: check its images"):
        prepare_sequences(Squares(), tmp_path, broken)


def test_drawn_people_come_from_the_drawn_world(tmp_path):
    source = DrawnPeople(2, 3, 64, 64, "validation", WorldSettings())
    raw, clip = source.read(1), draw_clip(1, 3, 64, 64, split="validation")
    assert np.array_equal(raw.images[0], clip.reference)
    assert np.array_equal(np.stack(raw.images[1:]), clip.frames)
    assert raw.poses == [clip.reference_pose, *clip.poses]
    assert source.key(0) != source.key(1)
    assert source.key(0) == replace(source, count=5).key(0), "more characters do not change the others"
    assert source.key(0) != replace(source, split="train").key(0)
    assert json.dumps(source.description())
