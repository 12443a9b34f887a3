"""A training from Python: `train(TrainingJob(...))`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.support import ROOT
from tests.support.training import TINY, equal, newest
from unianimate_core.__main__ import main
from unianimate_core.training import TrainingJob, presets, train
from unianimate_core.training.settings import TrainingError


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "tiny", TINY)


def test_a_job_trains_the_same_bits_as_the_command_with_its_options(tmp_path):
    """The command only turns its options into a job."""
    options = "--preset tiny --vae linear --steps 3 --frames 1 --learning-rate 0.001 --seed 4 --validation-clips 0"
    assert main(["train", str(tmp_path / "command"), *options.split()]) == 0
    job = TrainingJob(
        tmp_path / "job",
        vae="linear",
        preset="tiny",
        settings={"frames": [1], "learning_rate": 0.001, "seed": 4},
        run={"steps": 3, "validation_clips": 0},
    )
    result = train(job)
    assert result == tmp_path / "job" / "unianimate.safetensors"
    assert equal(load_file(result), load_file(tmp_path / "command" / "unianimate.safetensors"))
    assert equal(newest(tmp_path / "job"), newest(tmp_path / "command"))
    indices = [next((tmp_path / name / "states").glob("*/state.json")).read_text() for name in ("job", "command")]
    assert indices[0] == indices[1]


def test_the_same_job_again_continues_the_run(tmp_path, caplog):
    """Here it is complete, so nothing is trained."""
    job = TrainingJob(str(tmp_path / "run"), vae="linear", preset="tiny", run={"validation_clips": 0})
    first = train(job)
    assert first is not None
    written = next((tmp_path / "run" / "states").glob("*/state.json")).stat().st_mtime_ns
    assert train(job) == first
    assert next((tmp_path / "run" / "states").glob("*/state.json")).stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"settings": {"rate": 0.1}}, "settings has no rate: choose from width, height, frames"),
        ({"run": {"step": 3}}, "run has no step: choose from steps, cool_down"),
        ({"settings": {"lora_rank": 4}}, "settings holds lora_rank 4: give the rank as lora"),
        ({"settings": {"batch": 0}}, "batch is 0: give 1 or more"),
        ({"run": {"steps": 0}}, "steps is 0: give 1 or more"),
        ({"temporal": "attention"}, "temporal is 'attention': choose transformer or mamba"),
        ({"preset": "huge"}, "there is no preset 'huge'"),
    ],
)
def test_a_wrong_job_is_refused_when_it_is_made(tmp_path, values, message):
    with pytest.raises(TrainingError, match=message):
        TrainingJob(**({"folder": tmp_path / "run", "vae": "linear", "preset": "tiny"} | values))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("bf16_units", [True, False])
def test_the_precision_that_auto_chose_is_logged_once_and_recorded(tmp_path, monkeypatch, caplog, bf16_units):
    """It decides the outcome, so a run from another machine does not silently continue in another precision."""
    monkeypatch.setattr("unianimate_core.training.settings.cpu_has_bf16", lambda: bf16_units)
    precision, other = ("bf16", "fp32") if bf16_units else ("fp32", "bf16")
    job = TrainingJob(
        tmp_path / "run",
        vae="linear",
        preset="tiny",
        settings={"precision": "auto"},
        run={"steps": 1, "validation_clips": 0},
    )
    with caplog.at_level("INFO"):
        train(job)
    said = [record.message for record in caplog.records if record.message.startswith("training in")]
    assert said == [f"training in {precision} on cpu" + ("" if bf16_units else ", which has no bf16 units")]
    state = json.loads((tmp_path / "run" / "states" / "step_00000001" / "state.json").read_text())
    assert state["identity"]["settings"]["precision"] == precision
    monkeypatch.setattr("unianimate_core.training.settings.cpu_has_bf16", lambda: not bf16_units)
    with pytest.raises(
        TrainingError, match=rf"settings\.precision was {precision} and is {other}\): give what the run"
    ):
        train(job)


def imported_by(program: str) -> set[str]:
    """The modules that a Python program has imported at its end."""
    command = [sys.executable, "-c", f"import sys; {program}; print(*sys.modules)"]
    return set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


def test_only_training_imports_what_only_training_needs():
    """Settings, presets and jobs are for users without accelerate too, and --help is quick."""
    modules = imported_by("from unianimate_core.training import TrainingJob")
    assert not modules & {"accelerate", "peft", "tensorboard", "diffusers"}
    modules = imported_by("from unianimate_core.training.start import train")
    assert not modules & {"accelerate", "peft", "tensorboard", "diffusers"}
    modules = imported_by("import unianimate_core.commands.train, unianimate_core.commands.train_vae")
    assert not modules & {"torch", "accelerate"}


def test_the_example_of_the_docstring_is_a_job(tmp_path, monkeypatch):
    """Readers copy it."""
    monkeypatch.chdir(tmp_path)
    program = [line.strip() for line in (TrainingJob.__doc__ or "").splitlines() if line.startswith("        ")]
    assert program[-1].startswith("checkpoint = train(job)")
    names: dict[str, object] = {}
    exec("\n".join(program[:-1]), names)
    job = names["job"]
    assert isinstance(job, TrainingJob)
    assert Path(job.folder).name == "run"
    assert job.run_settings.steps == 500
