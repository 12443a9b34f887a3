"""A run that stops, for any reason, continues as if it had not stopped."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from safetensors.torch import load_file

from tests.support.training import RUN, SETTINGS, Squares, equal, make_run, newest, train_in
from unianimate_core.training import loss
from unianimate_core.training.loop import trainer
from unianimate_core.training.loop.curves import read_curves
from unianimate_core.training.loop.trainer import make_accelerator, train_run
from unianimate_core.training.settings import TrainingError


def test_a_run_in_two_parts_is_bit_identical_to_one(whole, tmp_path):
    """Weights, EMA, optimizer, dropout and the order of the data all continue."""
    train_in(tmp_path / "run", run=replace(RUN, steps=3))
    train_in(tmp_path / "run", run=replace(RUN, steps=6))
    assert len(newest(whole)) > 100
    assert equal(newest(tmp_path / "run"), newest(whole))
    result = load_file(tmp_path / "run" / "unianimate.safetensors")
    assert equal(result, load_file(whole / "unianimate.safetensors"))


def test_the_restored_optimizer_is_on_the_device_of_the_weights_and_keeps_no_file_open(whole, tmp_path):
    """A fused step counts on the GPU. One number of a mapped file would keep all of it, 11 GB at full size."""
    shutil.copytree(whole, tmp_path / "run")
    resumed = trainer.Trainer(make_run(tmp_path / "run"), make_accelerator(SETTINGS))
    states = resumed.optimizers[0].state
    assert len(states) > 100
    for parameter, state in states.items():
        assert state["step"] == 6
        for tensor in state.values():
            assert tensor.device == parameter.device
            assert tensor.untyped_storage().nbytes() == tensor.nbytes


def test_a_run_that_continues_makes_the_validation_that_a_kill_prevented_once(tmp_path):
    """Even the last validation, after which the repeated command has no step to train."""
    made = []

    def killed(*_):
        raise KeyboardInterrupt

    def validate(unet, step, accelerator):
        made.append(step)
        return {"PSNR": 20.0}

    run = make_run(tmp_path / "run", run=replace(RUN, steps=1))
    with pytest.raises(KeyboardInterrupt):
        train_run(replace(run, validate=killed), make_accelerator(SETTINGS))
    for _ in range(2):
        train_run(replace(run, validate=validate), make_accelerator(SETTINGS))
    assert made == [1]
    assert read_curves(tmp_path / "run" / "curves" / "curves.jsonl") == [{"step": 1, "validation/PSNR": 20.0}]


def test_passes_and_worker_processes_change_only_rounding(tmp_path):
    """Clips depend only on their position, whichever process reads them and however many pass at once."""
    settings = replace(SETTINGS, dropout=0.0)
    train_in(tmp_path / "run", settings, replace(RUN, steps=1))
    train_in(tmp_path / "other", settings, replace(RUN, steps=1, clips_at_once=1, workers=1))
    whole, parts = (newest(tmp_path / name) for name in ("run", "other"))
    gradients = [name for name in whole if name.endswith("exp_avg")]
    different = sum((whole[name] - parts[name]).square().sum() for name in gradients)
    assert different < 1e-8 * sum(whole[name].square().sum() for name in gradients)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"learning_rate": 2e-3}, r"settings\.learning_rate was 0\.001 and is 0\.002"),
        ({"batch": 4}, r"settings\.batch was 2 and is 4"),
        ({"precision": "bf16"}, r"settings\.precision was fp32 and is bf16\): give what the run began with"),
        ({"weighting": "x0"}, r"settings\.weighting was v and is x0"),
    ],
)
def test_another_configuration_is_refused_with_its_differences(whole, other, message):
    """A run with half of each would be neither."""
    before = newest(whole)
    with pytest.raises(TrainingError, match=message):
        train_in(whole, replace(SETTINGS, **other))
    assert equal(newest(whole), before)


def test_other_data_is_refused(whole):
    with pytest.raises(TrainingError, match=r"data\.count was 3 and is 2"):
        train_in(whole, source=Squares(2))


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_clip(tmp_path, monkeypatch):
    """It must not reach the state, and the user must find the clip."""
    clip_losses = loss.clip_losses
    monkeypatch.setattr(loss, "clip_losses", lambda *given: clip_losses(*given) * float("nan"))
    with pytest.raises(TrainingError, match=r"loss of square \d \(nan\), square \d \(nan\) is not finite at step 0"):
        train_in(tmp_path / "run")
    assert not (tmp_path / "run" / "states").exists()


def test_a_gradient_that_is_not_finite_stops_the_run_before_it_reaches_the_weights(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    train_in(folder, run=replace(RUN, steps=2))
    before = newest(folder)
    clip_losses = loss.clip_losses  # made finite below, with a gradient that is not
    monkeypatch.setattr(loss, "clip_losses", lambda *given: (clip_losses(*given) * 0).sqrt())
    with pytest.raises(TrainingError, match="the gradient of step 2 is nan, from the clips square"):
        train_in(folder)
    assert equal(newest(folder), before)
