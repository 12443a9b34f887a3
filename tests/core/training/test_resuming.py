"""A run that stops, however it stops, goes on as if it had not."""

from __future__ import annotations

import errno
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.core.training.made_up import RUN, SETTINGS, Squares, equal, make_job, newest, run
from unianimate_core.atomic import NoRoom
from unianimate_core.training import loss
from unianimate_core.training.loop import trainer
from unianimate_core.training.loop.curves import Curves, read_curves
from unianimate_core.training.loop.interruption import Interruption
from unianimate_core.training.loop.trainer import make_accelerator
from unianimate_core.training.settings import TrainingError

ROOT = Path(__file__).parents[3]


def test_a_run_in_two_parts_is_bit_identical_to_one(whole, tmp_path):
    """Weights, their mean, the optimiser, dropout, the order of the data: nothing may begin anew."""
    run(tmp_path / "run", run=replace(RUN, steps=3))
    run(tmp_path / "run", run=replace(RUN, steps=6))
    assert len(newest(whole)) > 100
    assert equal(newest(tmp_path / "run"), newest(whole))
    result = load_file(tmp_path / "run" / "unianimate.safetensors")
    assert equal(result, load_file(whole / "unianimate.safetensors"))


def test_the_optimiser_goes_on_where_the_weights_are_and_keeps_no_file_open(whole, tmp_path):
    """On a GPU a fused step counts there; and one number of a mapped file would keep all of it, 11 GB at full size."""
    shutil.copytree(whole, tmp_path / "run")
    job = make_job(tmp_path / "run")
    resumed = trainer.Trainer(job, make_accelerator(SETTINGS))
    states = resumed.optimisers[0].state
    assert len(states) > 100
    for parameter, state in states.items():
        assert state["step"] == 6
        for tensor in state.values():
            assert tensor.device == parameter.device
            assert tensor.untyped_storage().nbytes() == tensor.nbytes


def test_passes_and_worker_processes_change_nothing_but_rounding(tmp_path):
    """Clips depend on their position alone, not on who reads them or how many pass at once."""
    settings = replace(SETTINGS, dropout=0.0)
    run(tmp_path / "run", settings, replace(RUN, steps=1))
    run(tmp_path / "other", settings, replace(RUN, steps=1, clips_at_once=1, workers=1))
    whole, parts = (newest(tmp_path / name) for name in ("run", "other"))
    gradients = [name for name in whole if name.endswith("exp_avg")]
    different = sum((whole[name] - parts[name]).square().sum() for name in gradients)
    assert different < 1e-8 * sum(whole[name].square().sum() for name in gradients)


def test_curves_of_what_is_trained_again_are_there_once(tmp_path):
    lines = tmp_path / "run" / "curves" / "curves.jsonl"
    run(tmp_path / "run", run=replace(RUN, steps=20, save_every=15))
    text = lines.read_text()
    assert [json.loads(line)["step"] for line in text.splitlines()] == [10, 20]
    lines.write_text(text + text)  # as after a stop between two states
    (tmp_path / "run" / "states" / "step_00000020" / "state.json").unlink()
    run(tmp_path / "run", run=replace(RUN, steps=20, save_every=15))
    assert [json.loads(line)["step"] for line in lines.read_text().splitlines()] == [10, 10, 20]


def test_a_line_of_the_curves_that_was_cut_off_hinders_nothing(tmp_path):
    """A kill may come while it is written; the run goes on without it, and so does who reads the curves."""
    whole = '{"step": 10, "loss/all": 0.5}\n'
    (tmp_path / "curves.jsonl").write_text(whole + '{"step": 20, "los')
    assert read_curves(tmp_path / "curves.jsonl") == [{"step": 10, "loss/all": 0.5}]
    with Curves(tmp_path, 20, enabled=True) as curves:
        curves.add_validation(30, {"PSNR": 20.0})
    assert (tmp_path / "curves.jsonl").read_text() == whole + '{"step": 30, "validation/PSNR": 20.0}\n'


def test_curves_on_a_full_disk_are_lost_in_a_sentence_and_not_truncated(tmp_path, monkeypatch):
    lines = tmp_path / "curves.jsonl"
    lines.write_text('{"step": 10, "loss/all": 0.5}\n')

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with Curves(tmp_path, 10, enabled=True) as curves:
        monkeypatch.setattr(Path, "open", full)
        with pytest.raises(NoRoom, match=r"curves\.jsonl could not be written, since its disk is full"):
            curves.add_validation(20, {"PSNR": 20.0})
        monkeypatch.setattr(Path, "write_text", full)
        with pytest.raises(NoRoom, match=r"curves\.jsonl could not be written, since its disk is full"):
            Curves(tmp_path, 10, enabled=True)
    monkeypatch.undo()
    assert lines.read_text() == '{"step": 10, "loss/all": 0.5}\n'


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"rate": 2e-3}, r"settings\.rate was 0\.001 and is 0\.002"),
        ({"batch": 4}, r"settings\.batch was 2 and is 4"),
        ({"weighting": "x0"}, r"settings\.weighting was v and is x0"),
    ],
)
def test_another_configuration_is_refused_and_says_what_differs(whole, other, message):
    """Half a run of one kind and half of another is neither."""
    before = newest(whole)
    with pytest.raises(TrainingError, match=message):
        run(whole, replace(SETTINGS, **other))
    assert equal(newest(whole), before)


def test_other_data_is_refused(whole):
    with pytest.raises(TrainingError, match=r"data\.count was 3 and is 2"):
        run(whole, source=Squares(2))


def test_a_signal_lets_the_step_end_and_keeps_it(whole, tmp_path, monkeypatch):
    """Ctrl-C, or the notice before a machine is taken away, should cost nothing."""
    step = trainer.Trainer._step

    def step_with_signal(self, *given):
        if self.step == 2:
            signal.raise_signal(signal.SIGTERM)
        return step(self, *given)

    monkeypatch.setattr(trainer.Trainer, "_step", step_with_signal)
    six = replace(RUN, steps=6, save_every=100)
    with pytest.raises(TrainingError, match="stopped after step 3 of 6, which is kept: repeat the command"):
        run(tmp_path / "run", run=six)
    monkeypatch.undo()
    run(tmp_path / "run", run=six)
    assert equal(newest(tmp_path / "run"), newest(whole))


def test_the_second_signal_ends_at_once():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), Interruption() as interruption:
        signal.raise_signal(signal.SIGINT)
        assert interruption.asked
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_loss_that_is_no_number_stops_and_names_the_clip(tmp_path, monkeypatch):
    """The run's state must not be spoilt by it, and the user must find the clip."""
    clip_losses = loss.clip_losses
    monkeypatch.setattr(loss, "clip_losses", lambda *given: clip_losses(*given) * float("nan"))
    with pytest.raises(TrainingError, match=r"the loss of square \d \(nan\), square \d \(nan\) is no number at step 0"):
        run(tmp_path / "run")
    assert not (tmp_path / "run" / "states").exists()


def test_a_gradient_that_is_no_number_stops_before_it_reaches_the_weights(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    run(folder, run=replace(RUN, steps=2))
    before = newest(folder)
    clip_losses = loss.clip_losses  # finite, but not its slope
    monkeypatch.setattr(loss, "clip_losses", lambda *given: (clip_losses(*given) * 0).sqrt())
    with pytest.raises(TrainingError, match="the gradient of step 2 is nan, of the clips square"):
        run(folder)
    assert equal(newest(folder), before)


KILLS = 5
# A run is started, killed and started again `kills` times, each time in a folder of its own.
KILLED = """
import os, random, signal, sys, time
from dataclasses import replace
from pathlib import Path
import torch
import torch.utils.tensorboard  # or each child would
from tests.core.training.made_up import RUN, SETTINGS, make_job
from unianimate_core.training.loop.trainer import make_accelerator

torch.set_num_threads(1)
root, kills, chance = Path(sys.argv[1]), int(sys.argv[2]), random.Random(5)


def start(folder):
    child = os.fork()
    if child == 0:
        sys.stderr = open(os.devnull, "w")
        train(make_job(folder, SETTINGS, replace(RUN, steps=3, save_every=1)), make_accelerator(SETTINGS))
        os._exit(0)
    return child


began = time.perf_counter()
os.waitpid(start(root / "whole" / "run"), 0)
lasts = time.perf_counter() - began
for kill in range(kills):
    (root / str(kill)).mkdir()
    child = start(root / str(kill) / "run")
    states = root / str(kill) / "run" / "states"
    time.sleep((kill + chance.random()) / kills * lasts)  # early, late, and in between
    while kill == kills - 1 and not list(states.glob("step_*")):
        time.sleep(0.001)  # once at least with something to go on from, however slow the machine is
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    (root / str(kill) / "left").write_text(str(len(list(states.glob("step_*"))) if states.is_dir() else 0))
    _, status = os.waitpid(start(root / str(kill) / "run"), 0)
    assert status == 0
"""


WITH_WORKER = """
import multiprocessing, sys
from dataclasses import replace
from pathlib import Path
from tests.core.training.made_up import RUN, SETTINGS, make_job
from unianimate_core.training.loop import trainer

job = make_job(Path(sys.argv[1]), SETTINGS, replace(RUN, steps=10**6, workers=1))
run = trainer.Trainer(job, trainer.make_accelerator(SETTINGS))
batches = run._batches()
next(batches)
print(multiprocessing.active_children()[0].pid, flush=True)
input()
"""


SIGNALLED = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.core.training.made_up import RUN, SETTINGS, make_job
from unianimate_core.training.loop import trainer

step = trainer.Trainer._step


def step_by_step(self, *given):
    print("step", flush=True)
    if self.step == 1:
        input()
    return step(self, *given)


trainer.Trainer._step = step_by_step
job = make_job(Path(sys.argv[1]), SETTINGS, replace(RUN, steps=10**6, workers=1))
trainer.train(job, trainer.make_accelerator(SETTINGS))
"""


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="Windows has no process groups")
def test_a_signal_to_all_processes_of_a_run_lets_the_step_end_too(tmp_path):
    """Ctrl-C reaches those that read data as well; the run must not fail for want of them."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SIGNALLED, str(tmp_path / "run")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, **pipes) as process:
        assert [process.stdout.readline() for _ in range(2)] == ["step\n"] * 2
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate("\n")
    assert "TrainingError: stopped after step 2 of 1000000, which is kept: repeat the command" in errors
    assert (tmp_path / "run" / "states" / "step_00000002").is_dir()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_no_reader_outlives_a_killed_run(tmp_path):
    """It would sit there with what it has read, and its memory, until the machine is started anew."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WITH_WORKER, str(tmp_path / "run")]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process:
        worker = os.pidfd_open(int(process.stdout.readline()))
        process.kill()
    assert select.select([worker], [], [], 30)[0], "the worker lives on"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_run_that_is_killed_at_random_moments_ends_bit_identical(tmp_path):
    """While data is prepared, in the middle of a step, or while a state is written."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(KILLS)], cwd=ROOT, env=environment, check=True)
    expected = newest(tmp_path / "whole" / "run")
    for kill in range(KILLS):
        folder = tmp_path / str(kill) / "run"
        assert equal(newest(folder), expected)
        assert not list((folder / "states").glob(".*"))
    left = [int((tmp_path / str(kill) / "left").read_text()) for kill in range(KILLS)]
    assert any(left), "no kill came after the first state"
