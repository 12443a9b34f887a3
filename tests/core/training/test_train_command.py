"""python -m unianimate_core train, as a user types it."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.support.dancer_videos import write_video
from tests.support.training import NETWORK, TINY, equal, make_unet, spread, write_checkpoint
from unianimate_core.__main__ import main
from unianimate_core.checkpoint import load_unet
from unianimate_core.checkpoint.to_mamba import convert_to_mamba
from unianimate_core.config import MambaConfig
from unianimate_core.media.video import video_info
from unianimate_core.model import UNet
from unianimate_core.training import presets, start


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "tiny", TINY)
    monkeypatch.setitem(presets.PRESETS, "nobody", replace(TINY, characters=0))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors", spread(make_unet()))


def command(*arguments) -> int:
    return main(["train", *map(str, arguments), "--vae", "linear"])


def test_training_on_drawn_people_writes_a_checkpoint_curves_and_videos(tmp_path, capsys):
    """The nodes can load the checkpoint."""
    run = tmp_path / "run"
    assert command(run, "--preset", "tiny") == 0
    assert f"wrote {run}/unianimate.safetensors" in capsys.readouterr().out
    unet = load_unet(run / "unianimate.safetensors")
    assert (unet.config, unet.dtype) == (NETWORK, torch.float16)
    assert video_info(run / "validation" / "step_00000002" / "00.mp4").width == 4 * 64
    (validation,) = [json.loads(line) for line in (run / "curves" / "curves.jsonl").read_text().splitlines()]
    assert validation["step"] == 2
    assert validation["validation/PSNR"] < validation["validation/PSNR of the VAE alone"]
    assert list((run / "curves").glob("events.out.tfevents.*"))


def test_a_folder_of_videos_fine_tunes_a_checkpoint(tmp_path, checkpoint):
    write_video(tmp_path, "one")
    write_video(tmp_path, "two")
    assert command(tmp_path / "run", "--preset", "tiny", "--data", tmp_path, "--init", checkpoint) == 0
    before, after = load_file(checkpoint), load_file(tmp_path / "run" / "unianimate.safetensors")
    assert before.keys() == after.keys()
    assert not equal(before, after)


def test_a_lora_is_trained_for_a_checkpoint(tmp_path, checkpoint):
    assert command(tmp_path / "run", "--preset", "tiny", "--init", checkpoint, "--lora", 2) == 0
    assert any("lora_A" in name for name in load_file(tmp_path / "run" / "unianimate_lora.safetensors"))


def test_a_new_network_can_have_the_temporal_mamba(tmp_path):
    assert command(tmp_path / "run", "--preset", "tiny", "--temporal", "mamba") == 0
    assert load_unet(tmp_path / "run" / "unianimate.safetensors").config.mamba is not None


def test_distillation_trains_the_temporal_modules_alone(tmp_path, checkpoint):
    """Each learns from the teacher's, and all other weights stay."""
    student = tmp_path / "student.safetensors"
    convert_to_mamba(checkpoint, student, MambaConfig(expand=1, keep_ff=False))
    options = ["--preset", "tiny", "--init", student, "--distill", checkpoint, "--learning-rate", 1e-2, "--steps", 12]
    assert command(tmp_path / "run", *options, "--ema-decay", 0, "--validation-clips", 0) == 0
    before, after = load_file(student), load_file(tmp_path / "run" / "states" / "step_00000012" / "weights.safetensors")
    changed = {name for name in before if not before[name].equal(after[name])}
    assert any("mixer" in name for name in changed)
    assert all(re.match(r"(in|out)put_blocks\.\d+\.[12]\.|middle_block\.2\.", name) for name in changed)
    (curve,) = [json.loads(line) for line in (tmp_path / "run" / "curves" / "curves.jsonl").read_text().splitlines()]
    assert 0 < curve["loss/all"] < 1.5, "a module that adds nothing has 1"


@pytest.fixture
def wide(tmp_path) -> Path:
    """A checkpoint of a network with the context width of OpenCLIP."""
    return write_checkpoint(tmp_path / "wide.safetensors", make_unet(replace(NETWORK, context_dim=1024)))


class Clip:
    """A replacement of ClipEncoder."""

    def __init__(self, path: Path, **_):
        self.path = path

    def empty_text(self) -> torch.Tensor:
        return torch.ones(1, 77, 1024)


def test_the_released_network_is_not_trained_without_clip(tmp_path, capsys, wide):
    """It would silently forget its prompt. Zeros are for networks that were always trained with them."""
    assert command(tmp_path / "run", "--preset", "tiny", "--init", wide) == 2
    assert (
        "wide.safetensors works with OpenCLIP's states: give open_clip_pytorch_model.bin as clip"
        in capsys.readouterr().err
    )


def test_clip_for_a_network_of_another_width_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(start, "ClipEncoder", Clip)
    assert command(tmp_path / "run", "--preset", "tiny", "--clip", "clip.bin") == 2
    assert "clip.bin makes states of 1024 numbers, the network takes 16: leave clip out" in capsys.readouterr().err


@pytest.fixture
def unprepared(monkeypatch):
    """Fail if data is prepared."""
    monkeypatch.setattr(start, "prepare_sequences", lambda *_, **__: pytest.fail("data was being prepared"))


def test_another_run_in_the_folder_is_refused(tmp_path, capsys, request):
    """Even before the data is prepared, which may take hours."""
    assert command(tmp_path / "run", "--preset", "tiny", "--steps", 1) == 0
    request.getfixturevalue("unprepared")
    assert command(tmp_path / "run", "--preset", "tiny", "--learning-rate", 0.1) == 2
    assert (
        "another configuration (settings.learning_rate was 5e-05 and is 0.1): give what the run began with"
        in capsys.readouterr().err
    )


@pytest.mark.usefixtures("unprepared")
def test_a_teacher_of_another_network_is_refused_before_data_is_prepared(tmp_path, capsys, checkpoint):
    network = replace(NETWORK, multipliers=(1, 1), attention_levels=(True, True))
    other = write_checkpoint(tmp_path / "other.safetensors", make_unet(network))
    assert command(tmp_path / "run", "--preset", "tiny", "--init", checkpoint, "--distill", other) == 2
    assert "teacher and student differ in the number or width of their temporal modules" in capsys.readouterr().err


@pytest.mark.usefixtures("unprepared")
def test_a_missing_peft_is_reported_before_data_is_prepared(tmp_path, capsys, checkpoint, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    assert command(tmp_path / "run", "--preset", "tiny", "--init", checkpoint, "--lora", 2) == 2
    assert "a LoRA needs peft, which is not installed: run pip install" in capsys.readouterr().err


def test_too_little_memory_is_reported_with_settings_that_need_less(tmp_path, capsys, monkeypatch):
    def out_of_memory(*_) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(start, "train_run", out_of_memory)
    assert command(tmp_path / "run", "--preset", "tiny") == 2
    error = capsys.readouterr().err
    assert "has too little memory" in error
    assert all(
        option in error for option in ("clips_at_once to 1", "gradient_checkpointing", "frames", "width", "height")
    )


def test_networks_leave_the_device_to_the_encoders(tmp_path, monkeypatch):
    """While data is prepared, VAE and CLIP have it to themselves. For training, the networks are back on it."""
    moves = []
    monkeypatch.setattr(UNet, "cpu", lambda self: moves.append("to main memory"))
    monkeypatch.setattr(UNet, "to", lambda self, *to, to_=UNet.to, **as_: moves.append(to) or to_(self, *to, **as_))
    for name in ("prepare_sequences", "train_run"):
        function = getattr(start, name)
        monkeypatch.setattr(start, name, lambda *a, of=function, name=name, **k: moves.append(name) or of(*a, **k))
    assert command(tmp_path / "run", "--preset", "tiny", "--steps", 1, "--validation-clips", 0) == 0
    away, prepared, (device,), trained = moves[moves.index("to main memory") :][:4]
    assert (away, prepared, type(device), trained) == ("to main memory", "prepare_sequences", torch.device, "train_run")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "huge"], "there is no preset 'huge': choose one of paper, mini"),
        (["--preset", "paper"], "preset paper trains an existing network: give its checkpoint as init"),
        (["--preset", "nobody"], "preset nobody has no drawn people: give a number of characters, or a folder of"),
        (["--preset", "tiny", "--lora", "4"], "a LoRA needs an existing network: give its checkpoint as init"),
        (["--preset", "tiny", "--distill", "b.pth"], "distill needs a student, made by to-mamba: give its checkpoint"),
        (["--preset", "tiny", "--data", "absent"], "there is no folder absent"),
        (["--preset", "tiny", "--data", ".", "--characters", "3"], "characters 3 is for drawn people"),
        (["--preset", "tiny", "--data", ".", "--characters", "0"], "characters 0 is for drawn people"),
        (["--preset", "tiny", "--characters", "0"], "0 characters are too few: give at least 1"),
        (["--preset", "tiny", "--validation-data", "."], "validation_data is for videos"),
        (["--init", "a.pth", "--temporal", "mamba"], "temporal mamba is for a new network"),
        (["--init", "a.pth", "--lora", "0"], "lora is 0: give a rank of 1 or more"),
        (["--init", "a.pth", "--lora", "4", "--part", "temporal"], "leave out part temporal"),
        (["--init", "a.pth", "--lora", "4", "--distill", "b.pth"], "lora adapts a network whose weights stay"),
        (["--init", "a.pth", "--part", "all", "--distill", "b.pth"], "leave out part all"),
        (["--preset", "tiny", "--width", "100"], "width is 100 pixels: give a multiple of 64"),
        (["--preset", "tiny", "--kept-states", "0"], "kept_states is 0: give 1 or more"),
        (["--preset", "tiny", "--init", "absent.safetensors"], "there is no file absent.safetensors"),
        (["--preset", "tiny", "--vae", "absent.safetensors"], "there is no file absent.safetensors"),
        (["--preset", "tiny", "--clip", "absent.bin"], "there is no file absent.bin: download"),
    ],
)
def test_impossible_options_give_one_sentence_and_exit_code_2(tmp_path, capsys, options, message):
    assert main(["train", str(tmp_path / "run"), "--vae", "linear", *options]) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("error: ")
    assert message in last


def test_the_paper_preset_saves_often():
    """A step of the whole network is slow. With 500 steps between states, a kill would cost hours."""
    assert presets.preset("paper").run["save_every"] <= 100


@pytest.mark.parametrize("package", ["accelerate", "tensorboard"])
def test_missing_packages_for_training_are_reported_at_once(tmp_path, capsys, monkeypatch, package):
    """Only training needs accelerate and TensorBoard, so they may be missing."""
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    assert command(tmp_path / "run", "--preset", "tiny") == 2
    assert f"training needs {package}, which is not installed: run pip install" in capsys.readouterr().err
