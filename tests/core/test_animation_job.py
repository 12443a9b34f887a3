"""python -m unianimate_core animate: from files to a video file, resumable, with everything checked first."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.media import write_video_with_sound
from tests.support.pose_networks import recorded_image, write_detector, write_keypoint_network
from unianimate_core import mini
from unianimate_core.__main__ import main
from unianimate_core.animation_job import AnimationJob, driving_poses, reference_pose
from unianimate_core.drawn_world.characters import draw_clip
from unianimate_core.drawn_world.export import write_person
from unianimate_core.media.image_file import read_image, write_image
from unianimate_core.media.sound import has_sound
from unianimate_core.media.video import video_info
from unianimate_core.model_files import CHECKPOINT, ModelFiles, find_model
from unianimate_core.pose import PoseDetector


@pytest.fixture(scope="module")
def drawn(tmp_path_factory) -> Path:
    """A drawn person's files, as a user has them."""
    folder = tmp_path_factory.mktemp("drawn")
    write_person(folder, draw_clip(2, 7, 64, 64, split="test", world=mini.WORLD))
    return folder


def command(drawn: Path, output: Path, *more: str) -> list[str]:
    files = [str(drawn / "reference.png"), str(output), "--mini", "--poses", str(drawn / "poses.json")]
    small = ["--width", "64", "--height", "64", "--steps", "1", "--segment-length", "3", "--source-fps", "8"]
    return ["animate", *files, "--reference-keypoints", str(drawn / "reference.json"), *small, *more]


def test_a_drawn_person_is_animated_from_an_image_and_keypoints(drawn, tmp_path, capsys):
    """No download, no pose network: what a first try needs."""
    assert main(command(drawn, tmp_path / "out.mp4", "--mode", "none")) == 0
    info = video_info(tmp_path / "out.mp4")
    assert (info.width, info.height, info.frames, info.fps) == (64, 64, 7, 8)
    assert str(tmp_path / "out.mp4") in capsys.readouterr().out


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows kills in another way")
def test_a_command_that_is_killed_finishes_identically_when_repeated(drawn, tmp_path):
    program = [sys.executable, "-m", "unianimate_core"]
    subprocess.run([*program, *command(drawn, tmp_path / "whole.mp4")], cwd=ROOT, check=True, capture_output=True)
    killed = command(drawn, tmp_path / "killed.mp4")
    with subprocess.Popen([*program, *killed], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        folder = tmp_path / "killed.mp4.segments"
        while process.poll() is None and not list(folder.glob("*/00000_*.safetensors")):
            time.sleep(0.01)
        process.kill()
    kept = list(folder.glob("*/*.safetensors"))
    assert kept, "the process ended before it could be killed"
    assert not (tmp_path / "killed.mp4").exists()
    run = subprocess.run([*program, *killed], cwd=ROOT, check=True, capture_output=True, text=True)
    assert "continuing: " in run.stdout + run.stderr
    assert (tmp_path / "killed.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert not folder.exists()


def test_poses_speed_and_sound_come_from_a_driving_video(drawn, tmp_path):
    """With stand-ins for the pose networks, which find the person of a recorded image."""
    import numpy as np

    from unianimate_core.media.video import video_writer

    detector, estimator = write_detector(tmp_path / "d.onnx"), write_keypoint_network(tmp_path / "p.onnx")
    person = recorded_image()
    write_image(tmp_path / "reference.png", np.ascontiguousarray(person[..., ::-1]))
    write_video_with_sound(tmp_path / "sound.mp4", seconds=1)
    height, width = (side // 2 * 2 for side in person.shape[:2])
    with video_writer(tmp_path / "dance.mp4", 12.5, sound=tmp_path / "sound.mp4") as video:
        for _ in range(5):
            video.write(np.ascontiguousarray(person[:height, :width, ::-1]))
    options = ["--mini", "--width", "64", "--height", "64", "--steps", "1", "--pose-device", "cpu"]
    options += ["--bbox-detector", str(detector), "--pose-estimator", str(estimator)]
    files = [str(tmp_path / name) for name in ("reference.png", "dance.mp4", "out.mp4")]
    assert main(["animate", *files, *options]) == 0
    info = video_info(tmp_path / "out.mp4")
    assert (info.frames, float(info.fps)) == (5, 12.5)
    assert has_sound(tmp_path / "out.mp4")
    silent = [*files[:2], str(tmp_path / "silent.mp4"), *options, "--no-sound", "--select-every-nth", "2"]
    assert main(["animate", *silent]) == 0
    assert not has_sound(tmp_path / "silent.mp4")
    assert (video_info(tmp_path / "silent.mp4").frames, float(video_info(tmp_path / "silent.mp4").fps)) == (3, 6.25)


def test_found_poses_are_kept_until_the_video_is_whole(tmp_path):
    """Finding poses takes minutes for a long video; a repeated command reads them again."""
    import numpy as np

    from unianimate_core.media.video import video_writer

    person = recorded_image()
    height, width = (side // 2 * 2 for side in person.shape[:2])
    with video_writer(tmp_path / "dance.mp4", 10) as video:
        for _ in range(2):
            video.write(np.ascontiguousarray(person[:height, :width, ::-1]))
    networks = write_detector(tmp_path / "d.onnx"), write_keypoint_network(tmp_path / "p.onnx")
    detector = PoseDetector(*networks, device="cpu")
    write_image(tmp_path / "reference.png", np.ascontiguousarray(person[..., ::-1]))
    job = AnimationJob(
        tmp_path / "reference.png",
        tmp_path / "out.mp4",
        driving=tmp_path / "dance.mp4",
        files=ModelFiles(mini=True),
    )
    pose, size = reference_pose(job, read_image(job.reference), detector)
    first = driving_poses(job, pose, size, detector, progress=False)
    detector.iter_poses = None  # pyright: ignore[reportAttributeAccessIssue]
    again = driving_poses(job, pose, size, detector, progress=False)
    assert again.poses == first.poses
    assert first.fps == 10


def test_all_missing_model_files_are_named_at_once_with_size_source_and_folder(drawn, tmp_path, capsys):
    """Before any work: a user downloads once, not five times."""
    (tmp_path / "dance.mp4").write_bytes(b"")
    files = [str(drawn / "reference.png"), str(tmp_path / "dance.mp4"), str(tmp_path / "out.mp4")]
    assert main(["animate", *files, "--models", str(tmp_path / "models")]) == 2
    said = capsys.readouterr().err
    for name, size, folder, source in (
        ("unianimate_16f_32f_non_ema_223000.pth", "5.67 GB", "unianimate", "camenduru/unianimate"),
        ("vae-ft-mse-840000-ema-pruned.safetensors", "335 MB", "vae", "stabilityai/sd-vae-ft-mse-original"),
        ("open_clip_pytorch_model.bin", "3.94 GB", "clip_vision", "laion/CLIP-ViT-H-14"),
        ("yolox_l.onnx", "217 MB", "dwpose", "yzd-v/DWPose"),
        ("dw-ll_ucoco_384.onnx", "134 MB", "dwpose", "yzd-v/DWPose"),
    ):
        (line,) = [line for line in said.splitlines() if name in line]
        assert all(part in line for part in (size, str(tmp_path / "models" / folder), source))
    assert not list(tmp_path.glob("out.mp4*"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--width", "100"], "width is 100, not a multiple of 64"),
        (["--segment-length", "1"], "the segment length is 1 for 7 frames: give at least 2"),
        (["--guidance-scale", "0"], "guidance_scale is 0.0: give a number above 0"),
        (["--source-fps", "0"], "fps is 0.0"),
        (["--skip-first-frames", "99"], "7"),
        (["--pose-start", "0.9", "--pose-end", "0.1"], "poses guide from 0.9 to 0.1"),
        (["--reference-keypoints", "POSES"], "poses.json has 7 frames: give that of one image"),
        (["--poses", "ABSENT"], "there is no file"),
        (["--shared-frames", "0"], "shared_frames is 0"),
    ],
)
def test_wrong_options_are_one_sentence_and_leave_nothing(drawn, tmp_path, capsys, more, message):
    more = [word.replace("POSES", str(drawn / "poses.json")).replace("ABSENT", str(tmp_path / "x")) for word in more]
    assert main(command(drawn, tmp_path / "out.mp4", *more)) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert not list(tmp_path.glob("out.mp4"))


def test_wrong_files_are_one_sentence(drawn, tmp_path, capsys):
    (tmp_path / "text.png").write_text("no image")
    (tmp_path / "nobody.json").write_text(json.dumps([{"canvas_width": 64, "canvas_height": 64, "people": []}]))
    rest = command(drawn, tmp_path / "out.mp4")[2:]
    for reference, message in (("text.png", "text.png is no image that can be read"), ("x.png", "there is no file")):
        assert main(["animate", str(tmp_path / reference), *rest]) == 2
        assert message in capsys.readouterr().err
    assert main(command(drawn, tmp_path / "out.mp4", "--poses", str(tmp_path / "nobody.json"))) == 2
    assert "nobody.json shows nobody in its 1 frames" in capsys.readouterr().err
    assert main(command(drawn, tmp_path / "out.gif")) == 2
    assert "give a name that ends in .mp4" in capsys.readouterr().err


def test_an_output_that_exists_is_kept(drawn, tmp_path, capsys):
    (tmp_path / "out.mp4").write_bytes(b"precious")
    assert main(command(drawn, tmp_path / "out.mp4")) == 2
    assert "exists and is kept: choose another name, or add --overwrite" in capsys.readouterr().err
    assert (tmp_path / "out.mp4").read_bytes() == b"precious"
    assert main(command(drawn, tmp_path / "out.mp4", "--overwrite")) == 0
    assert video_info(tmp_path / "out.mp4").frames == 7


def test_ctrl_c_says_that_finished_segments_are_kept(drawn, tmp_path, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("unianimate_core.long_video.video.ddim_sample", interrupted)
    assert main(command(drawn, tmp_path / "out.mp4")) == 130
    assert "what is finished is kept, repeat the command to continue" in capsys.readouterr().err


def test_a_driving_video_and_keypoints_together_are_refused(drawn, tmp_path, capsys):
    files = [str(drawn / "reference.png"), str(drawn / "truth.mp4"), str(tmp_path / "out.mp4")]
    assert main(["animate", *files, "--mini", "--poses", str(drawn / "poses.json")]) == 2
    assert "give either a driving video or, by --poses, a file of keypoints" in capsys.readouterr().err


def test_a_conversion_is_preferred_and_several_candidates_are_refused(tmp_path):
    folder = tmp_path / "unianimate"
    folder.mkdir()
    for name in ("own.safetensors", CHECKPOINT.name):
        (folder / name).touch()
    assert find_model(tmp_path, CHECKPOINT) == folder / CHECKPOINT.name
    converted = folder / CHECKPOINT.name.replace(".pth", "_fp16.safetensors")
    converted.touch()
    assert find_model(tmp_path, CHECKPOINT) == converted
    for path in (converted, folder / CHECKPOINT.name):
        path.unlink()
    assert find_model(tmp_path, CHECKPOINT) == folder / "own.safetensors"
    (folder / "other.pth").touch()
    with pytest.raises(ValueError, match=r"has 2 files that may be meant \(other\.pth, own\.safetensors\)"):
        find_model(tmp_path, CHECKPOINT)


def test_draw_person_writes_what_animate_takes(tmp_path, capsys):
    """The two commands of the help text."""
    assert main(["draw-person", str(tmp_path / "drawn"), "--frames", "2", "--character", "3"]) == 0
    names = {path.name for path in (tmp_path / "drawn").iterdir()}
    assert names == {"reference.png", "reference.json", "poses.json", "truth.mp4"}
    assert main(command(tmp_path / "drawn", tmp_path / "out.mp4", "--width", "128", "--height", "192")) == 0
