"""Video files, written and read frame by frame."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from unianimate_core.media.video import VideoInfo, read_frames, video_info, video_writer

av = pytest.importorskip("av")

COLORS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [200, 150, 100]], dtype=np.uint8)


def image(height: int = 64, width: int = 128) -> np.ndarray:
    """Four upright bars of strong colors."""
    return np.broadcast_to(COLORS.repeat(width // 4, axis=0), (height, width, 3)).copy()


def write(path, frames, fps=8, **options):
    with video_writer(path, fps, **options) as video:
        for frame in frames:
            video.write(frame)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_colors_survive_writing_and_reading(tmp_path, suffix):
    """A wrong matrix (BT.601 for BT.709) would shift green by more than 20."""
    write(tmp_path / f"bars{suffix}", [image()] * 3, crf=1)
    frames = list(read_frames(tmp_path / f"bars{suffix}"))
    assert len(frames) == 3
    centers = frames[2][32, 16::32].astype(int)
    assert np.abs(centers - COLORS).max() <= 3


@pytest.mark.parametrize("fps", [8, 12.5, Fraction(30000, 1001), 60, Fraction(1, 3)])
def test_speed_size_and_length_are_those_given(tmp_path, fps):
    write(tmp_path / "a.mp4", [image()] * 5, fps)
    assert video_info(tmp_path / "a.mp4") == VideoInfo(128, 64, Fraction(fps), 5)


def test_frames_come_in_order(tmp_path):
    """The encoder holds frames back and reorders them."""
    write(tmp_path / "a.mp4", [np.full((64, 64, 3), 5 * index, np.uint8) for index in range(50)], crf=1)
    levels = [frame[32, 32, 0] for frame in read_frames(tmp_path / "a.mp4")]
    assert np.abs(np.array(levels, int) - 5 * np.arange(50)).max() <= 2


def test_a_phone_video_is_turned_upright(tmp_path):
    """Phones store it lying down, with a note; OpenPose and the network need people upright."""
    with av.open(str(tmp_path / "phone.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=8, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 128, 64, "yuv420p"
        stream.set_display_rotation(-90)  # clockwise
        frame = np.zeros((64, 128, 3), np.uint8)
        frame[:, :64] = 255  # its left half becomes the upper one
        container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    upright = next(read_frames(tmp_path / "phone.mp4"))
    assert upright.shape == (128, 64, 3)
    assert upright[:56].min() > 240
    assert upright[72:].max() < 15
    assert video_info(tmp_path / "phone.mp4").height == 128


def test_odd_sizes_are_refused_with_even_ones(tmp_path):
    with pytest.raises(ValueError, match=r"frames are 65x64 \(width x height\), H.264 needs even numbers: give 66x64"):
        write(tmp_path / "a.mp4", [np.zeros((64, 65, 3), np.uint8)])


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "the video has 0 frames"),
        ([image(), image(32)], "frame 1 is 128x32, those before are 128x64"),
        ([np.zeros((64, 64, 3))], r"frame 0 is float64 \(64, 64, 3\): give uint8"),
        ([np.zeros((64, 64), np.uint8)], r"frame 0 is uint8 \(64, 64\)"),
    ],
)
def test_nothing_is_left_behind_where_frames_do_not_fit(tmp_path, frames, message):
    """And a video that was there before stays."""
    (tmp_path / "a.mp4").write_bytes(b"before")
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "a.mp4", frames)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"before"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.gif", {}, r"destination is a\.gif: give a name that ends in \.mp4"),
        ("a.mp4", {"fps": 0}, "fps is 0: give more than 0"),
        ("a.mp4", {"crf": 90}, "crf is 90: give 0 to 51"),
    ],
)
def test_settings_that_cannot_be_honoured_are_refused(tmp_path, name, options, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path / name, [image()], **options)


def test_files_that_are_no_video_are_refused_in_one_sentence(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ValueError, match=r"text\.mp4 cannot be read as a video"):
        video_info(tmp_path / "text.mp4")
    with pytest.raises(FileNotFoundError, match="there is no file"):
        next(read_frames(tmp_path / "absent.mp4"))


def test_the_same_frames_give_the_same_file(tmp_path):
    """So that a video that was continued can be told to be the one it would have been."""
    frames = np.random.default_rng(0).integers(0, 255, (20, 8, 8, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    files = set()
    for _ in range(50):
        write(tmp_path / "a.mp4", frames)
        files.add((tmp_path / "a.mp4").read_bytes())
    assert len(files) == 1


def test_a_full_disk_is_one_sentence_and_leaves_nothing_behind(tmp_path):
    """A limit on the size of files fails in the middle of a write, as a full disk does."""
    resource = pytest.importorskip("resource", reason="Windows has no such limits")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(0).integers(0, 255, (40, 64, 128, 3), dtype=np.uint8)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match=r"a.mp4 could not be written \(.*\): make room on its disk") as raised:
            write(tmp_path / "a.mp4", noise, crf=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(str(raised.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())
    write(tmp_path / "a.mp4", noise, crf=1)
    assert video_info(tmp_path / "a.mp4").frames == 40
