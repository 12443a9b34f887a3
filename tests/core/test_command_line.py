"""python -m unianimate_core, as a user types it. Training and evaluation have tests of their own."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from tests.support import ROOT
from tests.support.tiny_network import TINY
from unianimate_core.__main__ import main
from unianimate_core.checkpoint import load_unet, to_checkpoint
from unianimate_core.checkpoint.loading import HEAD_DIM_TENSOR
from unianimate_core.media.video import VideoInfo, video_info
from unianimate_core.model import UNet


@pytest.fixture(scope="module")
def tensors():
    """Those of a small network, with the names of the released file."""
    torch.manual_seed(0)
    return to_checkpoint(UNet(TINY).state_dict(), TINY)


@pytest.fixture
def checkpoint(tensors, tmp_path):
    """A pickle in full precision, as the released file is."""
    torch.save(tensors | {HEAD_DIM_TENSOR: torch.tensor(TINY.head_dim)}, tmp_path / "tiny.pth")
    return tmp_path / "tiny.pth"


@pytest.mark.parametrize(
    ("options", "dtype"),
    [
        ([], torch.float16),
        (["--dtype", "fp16"], torch.float16),
        (["--dtype", "bf16"], torch.bfloat16),
        (["--dtype", "fp32"], torch.float32),
    ],
)
def test_convert_writes_every_tensor_in_the_given_precision(tensors, checkpoint, tmp_path, capsys, options, dtype):
    destination = tmp_path / "tiny.safetensors"
    assert main(["convert", str(checkpoint), str(destination), *options]) == 0

    written = load_file(destination)
    assert written.keys() == tensors.keys()
    assert all(torch.equal(written[name], tensors[name].to(dtype)) for name in tensors)
    assert load_unet(destination).config == TINY
    output = capsys.readouterr()
    assert f"wrote {destination} ({destination.stat().st_size:,} bytes)" in output.out
    assert f"{len(tensors)}/{len(tensors)}" in output.err, "the progress bar did not reach its end"


@pytest.mark.parametrize(
    ("source", "destination", "message"),
    [
        ("absent.pth", "a.safetensors", "there is no file"),
        ("text.pth", "a.safetensors", "text.pth is text .* download the file itself"),
        ("tiny.pth", "a.pth", r"destination is a\.pth: give a name that ends in \.safetensors"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(checkpoint, tmp_path, capsys, source, destination, message):
    """A user has no use for a traceback, and a script sees the failure by the code."""
    (tmp_path / "text.pth").write_text("no checkpoint")
    assert main(["convert", str(tmp_path / source), str(tmp_path / destination)]) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert re.search(f"error: .*{message}", last)
    assert not (tmp_path / destination).exists()


def test_traceback_shows_where_an_error_came_from(tmp_path):
    with pytest.raises(FileNotFoundError):
        main(["--traceback", "convert", str(tmp_path / "absent.pth"), str(tmp_path / "a.safetensors")])


def test_ctrl_c_ends_in_one_sentence_and_exit_code_130(checkpoint, tmp_path, capsys, monkeypatch):
    """130 is what shells give to a program that Ctrl-C ended."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("unianimate_core.checkpoint.convert_checkpoint", interrupted)
    assert main(["convert", str(checkpoint), str(tmp_path / "a.safetensors")]) == 130
    assert capsys.readouterr().err.endswith("stopped: what is finished is kept, repeat the command to continue\n")


def test_help_needs_no_slow_import():
    """torch takes seconds to import; help and a mistyped option must not wait for it."""
    command = [sys.executable, "-X", "importtime", "-m", "unianimate_core", "--help"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0
    listed = re.findall(r"^    ([\w-]+)(?: |$)", run.stdout, re.MULTILINE)
    assert listed == ["animate", "demo", "draw-person", "convert", "to-mamba", "evaluate", "train", "train-vae"]
    assert not re.search(r"\| +(torch|numpy|cv2)$", run.stderr, re.MULTILINE)


# A command in a process that cannot import what the extra demo does not bring.
ONLY_DEMO = """
import sys
missing = "accelerate diffusers lpips matplotlib onnx onnxruntime open_clip peft PIL scipy tensorboard torchvision"
sys.modules.update(dict.fromkeys(missing.split()))
from unianimate_core.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("temporal", ["transformer", pytest.param("mamba", marks=pytest.mark.slow)])
def test_the_demo_is_closer_to_the_truth_than_the_reference_image_by_3_db(tmp_path, temporal):
    """It animates somebody held out from training, with the network and the packages that a first user has."""
    command = [sys.executable, "-c", ONLY_DEMO, "demo", "--output", str(tmp_path / "demo.mp4"), "--temporal", temporal]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    assert video_info(tmp_path / "demo.mp4") == VideoInfo(width=1024, height=416, fps=8, frames=16)
    result, reference = (float(value) for value in re.findall(r"PSNR ([\d.]+) dB", run.stdout))
    assert result > reference + 3


def test_the_demo_names_a_missing_network(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("unianimate_core.mini.VAE", tmp_path / "absent.safetensors")
    assert main(["demo", "--output", str(tmp_path / "demo.mp4")]) == 2
    assert "absent.safetensors is absent: it comes with the repository" in capsys.readouterr().err
    assert not (tmp_path / "demo.mp4").exists()


@pytest.mark.parametrize(("module", "package"), [("cv2", "opencv-python-headless"), ("av", "av")])
def test_the_demo_says_what_to_install(monkeypatch, tmp_path, capsys, module, package):
    """OpenCV and PyAV come with an extra."""
    monkeypatch.setitem(sys.modules, module, None)
    assert main(["demo", "--output", str(tmp_path / "demo.mp4")]) == 2
    expected = (
        f"the demo needs {package}, which is not installed: run pip install {package}, "
        'or pip install -e ".[demo]" in the folder of this pack'
    )
    assert capsys.readouterr().err == f"error: {expected}\n"
