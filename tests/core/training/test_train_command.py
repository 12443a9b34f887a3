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

from tests.core.training.made_up import NETWORK, RUN, SETTINGS, equal, make_job, make_unet, spread
from tests.core.training.test_data import write_video
from unianimate_core.__main__ import main
from unianimate_core.checkpoint import load_unet, to_checkpoint
from unianimate_core.checkpoint.loading import metadata_of
from unianimate_core.checkpoint.to_mamba import convert_to_mamba
from unianimate_core.config import MambaConfig
from unianimate_core.training import presets
from unianimate_core.training.loop.trainer import make_accelerator, train
from unianimate_core.training.presets import Preset
from unianimate_core.video import video_info

ROOT = Path(__file__).parents[3]
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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--preset", "huge"], "there is no preset 'huge': choose one of paper, mini"),
        (["--preset", "paper"], "preset paper trains a network further: give its checkpoint by --init"),
        (["--preset", "nobody"], "preset nobody draws nobody: give --characters, or videos by --data"),
        (["--preset", "tiny", "--lora", "4"], "a LoRA is trained on a network that is there"),
        (["--preset", "tiny", "--data", "absent"], "there is no folder absent"),
        (["--preset", "tiny", "--data", ".", "--characters", "3"], "--characters 3 is for drawn people"),
        (["--preset", "tiny", "--width", "100"], "width is 100 pixels: give a multiple of 64"),
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


def test_another_run_in_the_folder_is_refused(tmp_path, capsys):
    assert command(tmp_path / "run", "--preset", "tiny", "--steps", 1) == 0
    assert command(tmp_path / "run", "--preset", "tiny", "--rate", 0.1) == 2
    assert "another configuration (settings.rate was 5e-05 and is 0.1): repeat the command" in capsys.readouterr().err


def test_the_training_extra_is_asked_for(tmp_path, capsys, monkeypatch):
    """accelerate, peft and TensorBoard are not needed for anything else."""
    for name in [name for name in sys.modules if name.startswith("unianimate_core.training.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "accelerate", None)
    assert command(tmp_path / "run", "--preset", "tiny") == 2
    assert "training needs accelerate, which is not installed: run pip install" in capsys.readouterr().err


def test_a_tiny_network_learns_one_clip_by_heart(tmp_path):
    """Loss, conditions, optimiser and schedule together do learn: the error falls to a small part."""
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
    one, two = (load_file(tmp_path / name / "states/step_00000001/optimiser.safetensors") for name in "12")
    gradients = [name for name in one if name.endswith("exp_avg")]
    different = sum((one[name] - two[name]).square().sum() for name in gradients)
    assert different < 1e-8 * sum(one[name].square().sum() for name in gradients)
