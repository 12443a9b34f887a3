"""python -m unianimate_core train, as a user types it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.core.training.test_data import write_video
from tests.support import ROOT
from tests.support.training import NETWORK, RUN, SETTINGS, equal, make_job, make_unet, spread
from unianimate_core.__main__ import main
from unianimate_core.checkpoint import load_unet, to_checkpoint
from unianimate_core.checkpoint.loading import metadata_of
from unianimate_core.checkpoint.to_mamba import convert_to_mamba
from unianimate_core.config import MambaConfig
from unianimate_core.media.video import video_info
from unianimate_core.model import UNet
from unianimate_core.training import command as training_command
from unianimate_core.training import presets
from unianimate_core.training.loop.trainer import make_accelerator, train
from unianimate_core.training.presets import Preset

TINY = Preset(
    network=NETWORK,
    settings={"width": 64, "height": 64, "frames": (2,), "batch": 2, "precision": "fp32"},
    run={"steps": 2, "validation_clips": 1, "validation_frames": 2, "validation_steps": 2, "workers": 0},
    characters=3,
    motion_frames=3,
)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "tiny", TINY)
    monkeypatch.setitem(presets.PRESETS, "nobody", replace(TINY, characters=0))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    tensors = to_checkpoint(spread(make_unet()).state_dict(), NETWORK)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata_of(NETWORK))
    return path


def command(*arguments) -> int:
    return main(["train", *map(str, arguments), "--vae", "linear"])


def test_drawn_people_are_trained_on_and_the_result_loads(tmp_path, capsys):
    """What comes out is a checkpoint for the nodes, validation videos and curves."""
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


def test_a_lora_of_a_checkpoint(tmp_path, checkpoint):
    assert command(tmp_path / "run", "--preset", "tiny", "--init", checkpoint, "--lora", 2) == 0
    assert any("lora_A" in name for name in load_file(tmp_path / "run" / "unianimate_lora.safetensors"))


def test_a_new_network_with_the_temporal_mamba(tmp_path):
    assert command(tmp_path / "run", "--preset", "tiny", "--temporal", "mamba") == 0
    assert load_unet(tmp_path / "run" / "unianimate.safetensors").config.mamba is not None


def test_distillation_trains_the_temporal_modules_alone(tmp_path, checkpoint):
    """The student learns from its teacher, module by module, and all else stays."""
    student = tmp_path / "student.safetensors"
    convert_to_mamba(checkpoint, student, MambaConfig(expand=1, keep_ff=False))
    options = ["--preset", "tiny", "--init", student, "--distil", checkpoint, "--rate", 1e-2, "--steps", 12]
    assert command(tmp_path / "run", *options, "--ema-decay", 0, "--validation-clips", 0) == 0
    before, after = load_file(student), load_file(tmp_path / "run" / "states" / "step_00000012" / "weights.safetensors")
    changed = {name for name in before if not before[name].equal(after[name])}
    assert any("mixer" in name for name in changed)
    assert all(re.match(r"(in|out)put_blocks\.\d+\.[12]\.|middle_block\.2\.", name) for name in changed)
    (curve,) = [json.loads(line) for line in (tmp_path / "run" / "curves" / "curves.jsonl").read_text().splitlines()]
    assert 0 < curve["loss/all"] < 1.5, "1 is a module that adds nothing"


@pytest.fixture
def wide(tmp_path) -> Path:
    """A checkpoint whose network takes states as wide as OpenCLIP's."""
    network = replace(NETWORK, context_dim=1024)
    tensors = to_checkpoint(make_unet(network).state_dict(), network)
    path = tmp_path / "wide.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata_of(network))
    return path


class Clip:
    """In place of ClipEncoder."""

    def __init__(self, path: Path, **_):
        self.path = path

    def empty_text(self) -> torch.Tensor:
        return torch.ones(1, 77, 1024)


def test_the_released_network_is_not_trained_without_clip(tmp_path, capsys, wide):
    """It would unlearn its prompt, silently: zeros are for networks that never saw anything else."""
    assert command(tmp_path / "run", "--preset", "tiny", "--init", wide) == 2
    assert "wide.safetensors works with OpenCLIP's states: give its file" in capsys.readouterr().err


def test_clip_for_a_network_of_another_width_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(training_command, "ClipEncoder", Clip)
    assert command(tmp_path / "run", "--preset", "tiny", "--clip", "clip.bin") == 2
    assert "clip.bin makes states of 1024 numbers, the network takes 16: leave --clip out" in capsys.readouterr().err


@pytest.fixture
def unprepared(monkeypatch):
    """Fails where data is being prepared."""
    monkeypatch.setattr(training_command, "prepare", lambda *_, **__: pytest.fail("data was being prepared"))


def test_another_run_in_the_folder_is_refused(tmp_path, capsys, request):
    """Before its data is prepared, which may take hours."""
    assert command(tmp_path / "run", "--preset", "tiny", "--steps", 1) == 0
    request.getfixturevalue("unprepared")
    assert command(tmp_path / "run", "--preset", "tiny", "--rate", 0.1) == 2
    assert "another configuration (settings.rate was 5e-05 and is 0.1): repeat the command" in capsys.readouterr().err


@pytest.mark.usefixtures("unprepared")
def test_a_file_that_is_no_teacher_is_refused_before_data_is_prepared(tmp_path, capsys, checkpoint):
    network = replace(NETWORK, multipliers=(1, 1), attention_levels=(True, True))
    tensors = to_checkpoint(make_unet(network).state_dict(), network)
    other = tmp_path / "other.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, other, metadata_of(network))
    assert command(tmp_path / "run", "--preset", "tiny", "--init", checkpoint, "--distil", other) == 2
    assert "teacher and student have temporal modules of other number or width" in capsys.readouterr().err


@pytest.mark.usefixtures("unprepared")
def test_peft_is_asked_for_before_data_is_prepared(tmp_path, capsys, checkpoint, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    assert command(tmp_path / "run", "--preset", "tiny", "--init", checkpoint, "--lora", 2) == 2
    assert "a LoRA needs peft, which is not installed: run pip install" in capsys.readouterr().err


def test_too_little_memory_is_told_with_what_to_do(tmp_path, capsys, monkeypatch):
    def out_of_memory(*_) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(training_command, "train", out_of_memory)
    assert command(tmp_path / "run", "--preset", "tiny") == 2
    error = capsys.readouterr().err
    assert "has too little memory" in error
    assert all(option in error for option in ("--clips-at-once", "--frames", "--width", "--height"))


def test_networks_leave_the_device_to_the_encoders(tmp_path, monkeypatch):
    """While data is prepared, VAE and CLIP have it to themselves; what is trained is then on it again."""
    moves = []
    monkeypatch.setattr(UNet, "cpu", lambda self: moves.append("to main memory"))
    monkeypatch.setattr(UNet, "to", lambda self, *to, to_=UNet.to, **as_: moves.append(to) or to_(self, *to, **as_))
    for name in ("prepare", "train"):
        function = getattr(training_command, name)
        monkeypatch.setattr(
            training_command, name, lambda *a, of=function, name=name, **k: moves.append(name) or of(*a, **k)
        )
    assert command(tmp_path / "run", "--preset", "tiny", "--steps", 1, "--validation-clips", 0) == 0
    away, prepared, (device,), trained = moves[moves.index("to main memory") :][:4]
    assert (away, prepared, type(device), trained) == ("to main memory", "prepare", torch.device, "train")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "huge"], "there is no preset 'huge': choose one of paper, mini"),
        (["--preset", "paper"], "preset paper trains a network further: give its checkpoint by --init"),
        (["--preset", "nobody"], "preset nobody draws nobody: give --characters, or videos by --data"),
        (["--preset", "tiny", "--lora", "4"], "a LoRA is trained on a network that is there"),
        (["--preset", "tiny", "--data", "absent"], "there is no folder absent"),
        (["--preset", "tiny", "--data", ".", "--characters", "3"], "--characters 3 is for drawn people"),
        (["--preset", "tiny", "--data", ".", "--characters", "0"], "--characters 0 is for drawn people"),
        (["--preset", "tiny", "--characters", "0"], "0 characters are too few: give at least 1"),
        (["--preset", "tiny", "--validation-data", "."], "--validation-data is for videos"),
        (["--init", "a.pth", "--temporal", "mamba"], "--temporal mamba is for a new network"),
        (["--init", "a.pth", "--lora", "0"], "--lora is 0: give a rank of 1 or more"),
        (["--init", "a.pth", "--lora", "4", "--part", "temporal"], "leave out --part temporal"),
        (["--init", "a.pth", "--lora", "4", "--distil", "b.pth"], "--lora adapts a network whose weights stay"),
        (["--init", "a.pth", "--part", "all", "--distil", "b.pth"], "leave out --part all"),
        (["--preset", "tiny", "--width", "100"], "width is 100 pixels: give a multiple of 64"),
        (["--preset", "tiny", "--kept-states", "0"], "kept_states is 0: give 1 or more"),
        (["--preset", "tiny", "--init", "absent.safetensors"], "there is no file absent.safetensors"),
        (["--preset", "tiny", "--vae", "absent.safetensors"], "there is no file absent.safetensors"),
        (["--preset", "tiny", "--clip", "absent.bin"], "there is no file absent.bin: download"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_exit_code_2(tmp_path, capsys, options, message):
    assert main(["train", str(tmp_path / "run"), "--vae", "linear", *options]) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("error: ")
    assert message in last


def test_the_paper_preset_saves_often():
    """A step of the whole network takes long: 500 of them would be hours that a kill costs."""
    assert presets.preset("paper").run["save_every"] <= 100


@pytest.mark.parametrize("package", ["accelerate", "tensorboard"])
def test_the_training_extra_is_asked_for(tmp_path, capsys, monkeypatch, package):
    """accelerate, peft and TensorBoard are not needed for anything else; and are asked for at once."""
    modules = "unianimate_core.training.", "torch.utils.tensorboard"
    for name in [name for name in sys.modules if name.startswith(modules)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    assert command(tmp_path / "run", "--preset", "tiny") == 2
    assert f"training needs {package}, which is not installed: run pip install" in capsys.readouterr().err


def test_a_tiny_network_learns_one_clip_by_heart(tmp_path):
    """Loss, conditions, optimizer and schedule together do learn: the error falls to a small part."""
    settings = replace(SETTINGS, dropout=0.0, rate=3e-3, weighting="x0", condition_drop=0.0, all_dropped=0.0)
    job = make_job(tmp_path / "run", settings, replace(RUN, steps=80, save_every=1000))
    job = replace(job, sequences=job.sequences[:1])
    train(job, make_accelerator(settings))
    lines = [json.loads(line) for line in (tmp_path / "run" / "curves" / "curves.jsonl").read_text().splitlines()]
    losses = [line["loss/all"] for line in lines]
    assert losses[-1] < 0.35 * losses[0]
    assert np.isfinite(losses).all()


LAUNCHED = """
import sys
from pathlib import Path
from dataclasses import replace
import torch
from tests.core.training.made_up import RUN, SETTINGS, make_job
from unianimate_core.training.loop.trainer import make_accelerator, train

torch.set_num_threads(1)
settings = replace(SETTINGS, dropout=0.0)
accelerator = make_accelerator(settings)
assert accelerator.num_processes == int(sys.argv[2])
train(make_job(Path(sys.argv[1]), settings, replace(RUN, steps=1)), accelerator)
"""


def test_two_processes_train_as_one(tmp_path):
    """As accelerate launch starts them on GPUs: the gradient is that of one process, and only one writes."""
    (tmp_path / "program.py").write_text(LAUNCHED)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    for processes in ("1", "2"):
        given = [str(tmp_path / "program.py"), str(tmp_path / processes), processes]
        run = [sys.executable, *given] if processes == "1" else [*launch, processes, *given]
        subprocess.run(run, cwd=ROOT, env=environment, check=True, capture_output=True)
    one, two = (load_file(tmp_path / name / "states/step_00000001/optimizer.safetensors") for name in "12")
    gradients = [name for name in one if name.endswith("exp_avg")]
    different = sum((one[name] - two[name]).square().sum() for name in gradients)
    assert different < 1e-8 * sum(one[name].square().sum() for name in gradients)
