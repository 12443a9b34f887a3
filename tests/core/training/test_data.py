"""Data: drawn people, videos with key points, and what is prepared of them."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data._utils.pin_memory import pin_memory

from tests.support.poses import openpose_frame
from tests.support.training import SETTINGS, SIZE, Squares, linear
from unianimate_core.drawn_world.characters import WorldSettings, draw_clip
from unianimate_core.media.video import video_writer
from unianimate_core.pose import Pose, draw_poses, write_keypoints
from unianimate_core.training.data.clips import TrainingClips, batches, draw_frames
from unianimate_core.training.data.prepare import prepare, prepared
from unianimate_core.training.data.sources import DrawnPeople, VideoFolder, cover, covered
from unianimate_core.training.settings import TrainingError
from unianimate_core.vae.linear import encode

FRAMES = 5


def dancer(frame: int) -> Pose:
    body = np.full((20, 2), -1.0)
    for joint, (x, y) in {1: (0.5, 0.3), 2: (0.4, 0.3), 5: (0.6, 0.3), 8: (0.45, 0.6), 11: (0.55, 0.6)}.items():
        body[joint] = x + 0.02 * frame, y
    return replace(Pose.empty(), body=body, body_score=None)


def write_video(folder: Path, name: str, frames: int = FRAMES, keypoints: int = FRAMES) -> None:
    """Gray, lighter with each frame; 96x64 pixels."""
    with video_writer(folder / f"{name}.mp4", 8) as video:
        for frame in range(frames):
            video.write(np.full((64, 96, 3), 40 + 30 * frame, np.uint8))
    write_keypoints(folder / f"{name}.json", [openpose_frame(dancer(frame), 96, 64) for frame in range(keypoints)])


def folder_of(path: Path) -> VideoFolder:
    return VideoFolder(path, SIZE, SIZE, 2)


def test_a_video_is_prepared_with_the_poses_beside_it(tmp_path):
    """The dancer of each frame on the same part of the image as before it was cut to the clip's shape."""
    write_video(tmp_path, "dance")
    source = folder_of(tmp_path)
    prepare(source, tmp_path / "data", linear())
    (sequence,) = prepared(source, tmp_path / "data", linear())
    assert (sequence.name, sequence.length) == ("dance.mp4", FRAMES)
    images = sequence.images(range(FRAMES))
    assert images.shape == (FRAMES, SIZE, SIZE, 3)
    assert images.float().mean((1, 2, 3)).numpy() == pytest.approx(40 + 30 * np.arange(FRAMES), abs=3)
    expected = [covered(dancer(frame), (96, 64), (SIZE, SIZE)) for frame in range(FRAMES)]
    assert np.array_equal(sequence.poses(range(FRAMES)).numpy(), draw_poses(expected, SIZE, SIZE))
    # 64 of 96 pixels are left of the width: distances from the middle grow by half.
    assert expected[0].body[2] == pytest.approx([0.5 - 1.5 * 0.1, 0.3])
    assert sequence.latents([3, 1]).shape == (4, 2, SIZE // 8, SIZE // 8)
    assert not sequence.latents([3]).equal(sequence.latents([1]))


@pytest.mark.parametrize("size", [(96, 64), (64, 96), (640, 480), (50, 300)])
def test_images_and_poses_are_cut_alike(size):
    """A dot at a joint is still there afterwards."""
    width, height = size
    for x, y in ((0.5, 0.5), (0.45, 0.55), (0.55, 0.5)):
        image = np.zeros((height, width, 3), np.uint8)
        image[int(y * height) - 3 : int(y * height) + 4, int(x * width) - 3 : int(x * width) + 4] = 255
        body = np.full((20, 2), -1.0)
        body[0] = x, y
        point = covered(replace(Pose.empty(), body=body, body_score=None), size, (64, 128)).body[0] * (64, 128)
        cut = cover(image, 128, 64)
        assert cut.shape == (128, 64, 3)
        rows, columns = np.nonzero(cut[..., 0] > 127)
        if len(rows):
            assert [columns.mean(), rows.mean()] == pytest.approx(point, abs=2.5)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda folder: None, "holds no video .* put videos there"),
        (lambda folder: (folder / "a.mp4").write_bytes(b""), r"1 of 1 videos have no key points \(a\.mp4\)"),
        (
            lambda folder: (write_video(folder, "a"), (folder / "a.mp4").write_bytes(b"no video")),
            r"a\.mp4 cannot be read as a video",
        ),
        (lambda folder: write_video(folder, "a", keypoints=4), r"a\.mp4 has 5 frames, a\.json 4: find the poses"),
        (lambda folder: write_video(folder, "a", keypoints=7), r"a\.mp4 has 5 frames, a\.json 7: find the poses"),
        (lambda folder: write_video(folder, "a", 1, 1), r"a\.mp4 has 1 frames of key points, a clip needs 2"),
        (
            lambda folder: (write_video(folder, "a"), (folder / "a.json").write_text("{]")),
            r"a\.json cannot be used: it is not JSON",
        ),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_data_that_cannot_be_used_is_told_in_a_sentence(tmp_path, made, message, workers):
    """In this process or in one that prepares data for it."""
    made(tmp_path)
    with pytest.raises(TrainingError, match=message):
        prepare(folder_of(tmp_path), tmp_path / "data", linear(), workers=workers)


def test_no_folder_is_told(tmp_path):
    with pytest.raises(TrainingError, match="there is no folder"):
        folder_of(tmp_path / "absent")


def test_long_videos_are_cut_into_sequences(tmp_path, monkeypatch):
    monkeypatch.setattr("unianimate_core.training.data.sources.MOST_FRAMES", 3)
    write_video(tmp_path, "dance")
    source = folder_of(tmp_path)
    assert source.names == ["dance.mp4", "dance.mp4 from frame 2"]
    first, second = source.read(0), source.read(1)
    assert (len(first.images), len(second.images)) == (2, 3)
    assert second.images[0].mean() == pytest.approx(100, abs=3)


def test_no_piece_of_a_video_is_too_short_for_a_clip(tmp_path, monkeypatch):
    """However long the clips are that were asked for."""
    monkeypatch.setattr("unianimate_core.training.data.sources.MOST_FRAMES", 3)
    write_video(tmp_path, "dance")
    assert VideoFolder(tmp_path, SIZE, SIZE, 4).names == ["dance.mp4"]


def test_only_videos_that_were_put_there_are_taken(tmp_path):
    """macOS leaves ._dance.mp4 on other systems' disks, and a run in the folder its validation videos."""
    (tmp_path / "run" / "validation" / "step_00000002").mkdir(parents=True)
    write_video(tmp_path, "dance")
    (tmp_path / "._dance.mp4").write_bytes(b"of macOS")
    (tmp_path / "run" / "validation" / "step_00000002" / "00.mp4").write_bytes(b"of a run")
    source = VideoFolder(tmp_path, SIZE, SIZE, 2, but_not=tmp_path / "run" / "validation")
    assert source.names == ["dance.mp4"]


def test_a_copied_video_is_the_same_and_an_edited_one_is_not(tmp_path):
    """A folder that was copied to another machine is not encoded again, and its run goes on."""
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
def test_few_sequences_are_of_as_many_videos_as_there_are(tmp_path, monkeypatch, most):
    """What validates is not one dance from beginning to end; and only that is encoded."""
    monkeypatch.setattr("unianimate_core.training.data.sources.MOST_FRAMES", 3)
    write_video(tmp_path, "one")
    write_video(tmp_path, "two")
    source = VideoFolder(tmp_path, SIZE, SIZE, 2, most=most)
    assert source.names == ["one.mp4", "two.mp4", "one.mp4 from frame 2"][:most]


@pytest.mark.parametrize("frames", [FRAMES, 3])
def test_a_video_without_anybody_is_told_by_name(tmp_path, monkeypatch, frames):
    """It would teach the network to paint people where none are asked for. Also where only a part is empty."""
    monkeypatch.setattr("unianimate_core.training.data.sources.MOST_FRAMES", frames)
    write_video(tmp_path, "dance")
    shown = [dancer(frame) if frame < FRAMES - frames else Pose.empty() for frame in range(FRAMES)]
    write_keypoints(tmp_path / "dance.json", [openpose_frame(pose, 96, 64) for pose in shown])
    name = "dance.mp4" if frames == FRAMES else "dance.mp4 from frame 2"
    with pytest.raises(TrainingError, match=f"nobody is found in {name}, {frames} frames: remove the video"):
        prepare(folder_of(tmp_path), tmp_path / "data", linear())


def test_sequences_are_read_by_any_opencv(tmp_path, monkeypatch):
    """OpenCV before 4.11 cannot decode to RGB by itself."""
    prepare(Squares(1), tmp_path, linear())
    monkeypatch.delattr("cv2.IMREAD_COLOR_RGB", raising=False)
    (sequence,) = prepared(Squares(1), tmp_path, linear())
    truth = np.stack(Squares().read(0).images)
    assert np.abs(sequence.images(range(4)).numpy().astype(int) - truth).mean() < 3


def test_what_is_prepared_is_not_prepared_again(tmp_path, monkeypatch):
    """A run that is repeated begins at once; data that was being written when it was killed is made again."""
    source, read = Squares(), []
    prepare(source, tmp_path, linear())
    monkeypatch.setattr(
        Squares, "read", lambda self, index, read_=Squares.read: read.append(index) or read_(self, index)
    )
    prepare(source, tmp_path, linear())
    assert read == []
    path = prepared(source, tmp_path, linear())[1].path
    path.write_bytes(path.read_bytes()[:50])
    prepare(source, tmp_path, linear())
    assert read == [1]


def test_what_another_machine_prepared_elsewhere_is_missed_in_a_sentence(tmp_path):
    """Each process prepares a part, and sees those of others only where they share storage."""
    prepare(Squares(), tmp_path, linear(), share=(0, 2))
    with pytest.raises(TrainingError, match="lacks data that another process prepared: put RUN, or --cache, on stor"):
        prepared(Squares(), tmp_path, linear())


def test_another_vae_prepares_its_own(tmp_path):
    prepare(Squares(), tmp_path, linear())
    other = replace(linear(), identity="other", encode=lambda images: 2 * encode(images))
    prepare(Squares(), tmp_path, other)
    one, two = (prepared(Squares(), tmp_path, vae)[0].latents([0]) for vae in (linear(), other))
    torch.testing.assert_close(2 * one, two, rtol=1e-2, atol=1e-2)


def test_latents_that_are_no_numbers_are_told(tmp_path):
    broken = replace(linear(), encode=lambda images: encode(images) / 0)
    with pytest.raises(ValueError, match="the VAE makes values that are no numbers of square 0: look at its images"):
        prepare(Squares(), tmp_path, broken)


def test_drawn_people_are_those_of_the_world(tmp_path):
    source = DrawnPeople(2, 3, 64, 64, "validation", WorldSettings())
    raw, clip = source.read(1), draw_clip(1, 3, 64, 64, split="validation")
    assert np.array_equal(raw.images[0], clip.reference)
    assert np.array_equal(np.stack(raw.images[1:]), clip.frames)
    assert raw.poses == [clip.reference_pose, *clip.poses]
    assert source.key(0) != source.key(1)
    assert source.key(0) == replace(source, count=5).key(0), "more characters do not make others"
    assert source.key(0) != replace(source, split="train").key(0)
    assert json.dumps(source.description())


def test_few_sequences_are_shown_once_a_round(tmp_path):
    prepare(Squares(5), tmp_path, linear())
    clips = TrainingClips(prepared(Squares(5), tmp_path, linear()), SETTINGS)
    rounds = [[clips[5 * number + place].names[0] for place in range(5)] for number in range(3)]
    assert all(len(set(names)) == 5 for names in rounds)
    assert rounds[0] != rounds[1]


def test_the_clips_of_a_step_are_spread_over_the_timesteps(tmp_path):
    """Each step sees little and much noise, whatever the start."""
    prepare(Squares(), tmp_path, linear())
    clips = TrainingClips(prepared(Squares(), tmp_path, linear()), replace(SETTINGS, batch=8))
    timesteps = sorted(int(clips[position].t) for position in range(8, 16))
    assert all(after - before in (124, 125, 126) for before, after in pairwise(timesteps))
    every = {int(clips[position].t) * 10 // 1000 for position in range(160)}
    assert every == set(range(10))


def test_processes_share_each_step(tmp_path):
    """Together they show what one process would."""
    prepare(Squares(), tmp_path, linear())
    settings = replace(SETTINGS, batch=4)
    clips = TrainingClips(prepared(Squares(), tmp_path, linear()), settings)
    alone = batches(clips, 3, 4)
    shared = [batches(clips, 3, 1, process=process, processes=2) for process in (0, 1)]
    for _ in range(2):
        whole, parts = next(alone), [next(one) for one in shared for _ in range(2)]
        assert torch.equal(whole.t, torch.cat([part.t for part in parts]))
        assert torch.equal(whole.noise, torch.cat([part.noise for part in parts]))


@pytest.mark.parametrize(("length", "count", "largest"), [(16, 4, 4), (2, 2, 4), (5, 1, 3), (30, 16, 4)])
def test_frames_are_evenly_spaced_and_within_the_motion(length, count, largest):
    random, strides, starts = np.random.default_rng(0), set(), set()
    for _ in range(300):
        frames = draw_frames(random, range(3, 3 + length), count, largest)
        assert len(frames) == count
        assert 3 <= frames[0] <= frames[-1] < 3 + length
        steps = set(np.diff(frames))
        assert len(steps) <= 1
        strides |= steps
        starts.add(frames[0])
    if count > 1:
        assert strides == set(range(1, min(largest, (length - 1) // (count - 1)) + 1))
    assert len(starts) > 1 or length == count


def test_a_still_is_a_reference_and_never_a_frame(tmp_path):
    """A clip that began on the image of another moment would teach a jump behind the first frame."""
    prepare(Squares(), tmp_path, linear())
    sequences = [replace(sequence, stills=2) for sequence in prepared(Squares(), tmp_path, linear())]
    clips = TrainingClips(sequences, SETTINGS)
    references = set()
    for position in range(40):
        clip = clips[position]
        sequence = next(sequence for sequence in sequences if sequence.name == clip.names[0])
        stills = sequence.latents([0, 1])
        assert not any(still.equal(frame) for still in stills.unbind(1) for frame in clip.latents[0].unbind(1))
        references |= {still for still in (0, 1) if stills[:, still].equal(clip.reference_latent[0, :, 0])}
    assert references == {0, 1}


def test_a_clip_is_that_of_its_frames(tmp_path):
    """Pose, image and latent of the same moment; the first frame is frame 0 of the clip."""
    prepare(Squares(), tmp_path, linear())
    sequences = prepared(Squares(), tmp_path, linear())
    clips = TrainingClips(sequences, SETTINGS)
    for position in range(6):
        clip = clips[position]
        sequence = next(sequence for sequence in sequences if sequence.name == clip.names[0])
        frames = [sequence.latents([frame])[:, 0] for frame in range(sequence.length)]
        first, second = (
            next(number for number, latent in enumerate(frames) if latent.equal(clip.latents[0, :, place]))
            for place in (0, 1)
        )
        assert first < second
        assert clip.pose[0].equal(sequence.poses([first, second]))
        assert clip.first_frame[0].equal(sequence.images([first]))
        reference = next(n for n, latent in enumerate(frames) if latent.equal(clip.reference_latent[0, :, 0]))
        assert clip.reference_pose[0].equal(sequence.poses([reference]))


def test_all_of_a_batch_is_pinned_for_the_way_to_a_gpu(tmp_path, monkeypatch):
    """DataLoader passes over in silence what has no method for it."""
    prepare(Squares(), tmp_path, linear())
    clips = TrainingClips(prepared(Squares(), tmp_path, linear()), SETTINGS)[0]
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor)
    pin_memory(clips)
    tensors = [value for value in (*vars(clips).values(), *clips.kept.values()) if isinstance(value, torch.Tensor)]
    assert len(tensors) > 7
    assert {id(tensor) for tensor in pinned} == {id(tensor) for tensor in tensors}
