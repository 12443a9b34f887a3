"""Videos of two folders, paired and read side by side."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
import torch

from tests.core.evaluation.stand_ins import moving_square, write_images, write_video
from unianimate_core.evaluation.folders import check_pair, extent, pair_videos, parse_size, read_clips, read_video

pytest.importorskip("av")


@pytest.fixture
def folders(tmp_path):
    results, truth = tmp_path / "results", tmp_path / "truth"
    results.mkdir()
    truth.mkdir()
    return results, truth


def only_pair(folders):
    (pair,) = pair_videos(*folders)
    return pair


def test_videos_of_any_format_are_paired_by_name(folders):
    """Results and data set often differ in format. Other files in the folders are ignored."""
    results, truth = folders
    write_video(results / "b.mkv", moving_square(2))
    write_images(results / "a.1", moving_square(2))
    for name in ("b.mp4", "a.1.mp4"):
        write_video(truth / name, moving_square(2))
    (truth / "b.json").write_text("{}")
    (results / "notes").mkdir()
    (results / ".b.mp4").write_text("")
    pairs = [(pair.name, pair.result.name, pair.truth.name) for pair in pair_videos(results, truth)]
    assert pairs == [("a.1", "a.1", "a.1.mp4"), ("b", "b.mkv", "b.mp4")]


def test_two_files_are_a_pair(folders):
    results, truth = folders
    result = write_video(results / "a.mp4", moving_square(2))
    other = write_video(truth / "b.mp4", moving_square(2))
    assert [pair.name for pair in pair_videos(result, other)] == ["a"]


@pytest.mark.parametrize("frames", [1, 15, 16, 17, 40])
def test_every_frame_comes_once_and_in_order(folders, frames):
    results, truth = folders
    images = moving_square(frames)
    write_images(results / "a", images)
    write_images(truth / "a", images[::-1])
    clips = list(read_clips(only_pair(folders), None, 16))
    assert [len(result) for result, _ in clips[:-1]] == [16] * (len(clips) - 1)
    for side, expected in ((0, images), (1, images[::-1])):
        read = torch.cat([clip[side] for clip in clips])
        assert read.dtype == torch.float32
        assert torch.equal((read * 255).round(), torch.from_numpy(np.stack(expected)).permute(0, 3, 1, 2).float())


def test_reading_holds_one_clip_at_a_time(folders, monkeypatch):
    """A folder of one-minute videos must not need their size in memory."""
    from unianimate_core.evaluation import folders as module

    read = []

    def counted(path):
        for frame in moving_square(100):
            read.append(path)
            yield frame

    for folder in folders:
        write_images(folder / "a", moving_square(1))
    monkeypatch.setattr(module, "read_video", counted)
    next(read_clips(only_pair(folders), None, 16))
    assert len(read) == 2 * 16


def test_resizing_gives_both_the_requested_size(folders):
    """Shrinking averages: a fine pattern turns gray, not black or white."""
    results, truth = folders
    stripes = np.zeros((64, 128, 3), np.uint8)
    stripes[:, ::2] = 255
    write_images(results / "a", [stripes])
    write_images(truth / "a", [np.full((32, 32, 3), 255, np.uint8)])
    pair = only_pair(folders)
    check_pair(pair, (16, 24))
    ((result, white),) = read_clips(pair, (16, 24), 16)
    assert result.shape == white.shape == (1, 3, 24, 16)
    assert (result - 0.5).abs().max() < 0.1
    torch.testing.assert_close(white, torch.ones_like(white))


def test_the_length_of_a_folder_is_its_number_of_images(folders):
    path = write_images(folders[0] / "a", moving_square(3))
    (path / "Thumbs.db").write_text("")
    info = extent(path)
    assert (info.width, info.height, info.frames) == (64, 48, 3)
    assert len(list(read_video(path))) == 3


@pytest.mark.parametrize(
    ("result", "truth", "message"),
    [
        (moving_square(4), moving_square(5), "a has 4 frames, the true video 5"),
        (moving_square(5), moving_square(4), "a has 5 frames, the true video 4"),
        (moving_square(2, 64), moving_square(2), r"frame 0 of a is 64x64, that of the true video 64x48 .*--resize"),
    ],
)
def test_mismatched_videos_are_refused_at_once_and_while_reading(folders, result, truth, message):
    """At once if the files state their length, else while reading."""
    write_video(folders[0] / "a.mp4", result)
    write_images(folders[1] / "a", truth)
    pair = only_pair(folders)
    with pytest.raises(ValueError, match=message):
        check_pair(pair, None)
    with pytest.raises(ValueError, match=message):
        list(read_clips(pair, None, 16))


def test_images_of_changing_size_are_refused(folders):
    for folder in folders:
        write_images(folder / "a", [*moving_square(2), *moving_square(1, 64, 64)])
    with pytest.raises(ValueError, match="frame 2 of a differs in size from frame 0"):
        list(read_clips(only_pair(folders), (32, 32), 16))


def test_missing_partners_are_named(folders):
    results, truth = folders
    for name in "abcde":
        write_video(truth / f"{name}.mp4", moving_square(1))
    write_video(results / "a.mp4", moving_square(1))
    with pytest.raises(ValueError, match=rf"{re.escape(str(results))} has no video named b, c, d and 1 more"):
        pair_videos(results, truth)
    with pytest.raises(ValueError, match=r"has no video named b, c, d and 1 more"):
        pair_videos(truth, results)


def test_two_videos_of_one_name_are_refused(folders):
    results, truth = folders
    for suffix in ("mp4", "mkv"):
        write_video(results / f"a.{suffix}", moving_square(1))
    write_video(truth / "a.mp4", moving_square(1))
    with pytest.raises(ValueError, match=r"has both a\.mkv and a\.mp4: keep one video of each name"):
        pair_videos(results, truth)


def test_empty_and_absent_folders_are_refused(folders):
    results, truth = folders
    write_video(truth / "a.mp4", moving_square(1))
    with pytest.raises(ValueError, match="results holds no videos: give one with videos"):
        pair_videos(results, truth)
    with pytest.raises(FileNotFoundError, match=r"there is no folder .*absent"):
        pair_videos(results / "absent", truth)
    (results / "0.png").write_text("")
    with pytest.raises(ValueError, match="holds no videos: put the images of each video into its own folder"):
        pair_videos(results, truth)


def test_an_unreadable_video_is_named(folders):
    (folders[0] / "a.mp4").write_text("no video")
    write_video(folders[1] / "a.mp4", moving_square(1))
    with pytest.raises(ValueError, match=r"a\.mp4 cannot be read as a video"):
        check_pair(only_pair(folders), None)


def test_a_size_is_width_times_height():
    assert parse_size("256x384") == (256, 384)
    assert Fraction(*parse_size("512x768")) == Fraction(2, 3)


@pytest.mark.parametrize("text", ["256", "0x256", "256x", "axb", "256X256", "-1x2", "256x256x3"])
def test_other_sizes_are_refused(text):
    with pytest.raises(ValueError, match=f"the size is {text!r}: give WIDTHxHEIGHT in pixels, such as 256x256"):
        parse_size(text)
