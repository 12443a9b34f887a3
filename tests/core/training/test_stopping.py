"""A run that is asked to stop, or killed, loses as little as possible and leaves no process behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.support import ROOT
from tests.support.training import RUN, equal, newest, train_in
from unianimate_core.training.loop import trainer
from unianimate_core.training.loop.stop_request import StopRequest
from unianimate_core.training.settings import TrainingError


@pytest.fixture(autouse=True)
def _terminal():
    """Handle SIGHUP as in a terminal. Under nohup it would be ignored, here and in children."""
    if not hasattr(signal, "SIGHUP"):
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def test_after_a_signal_the_step_ends_and_is_saved(whole, tmp_path, monkeypatch):
    """Ctrl-C, or the notice before a machine is taken away, costs no work."""
    step = trainer.Trainer._step

    def step_with_signal(self, *given):
        if self.step == 2:
            signal.raise_signal(signal.SIGTERM)
        return step(self, *given)

    monkeypatch.setattr(trainer.Trainer, "_step", step_with_signal)
    six = replace(RUN, steps=6, save_every=100)
    with pytest.raises(TrainingError, match="stopped after step 3 of 6, which is saved: repeat the command"):
        train_in(tmp_path / "run", run=six)
    monkeypatch.undo()
    train_in(tmp_path / "run", run=six)
    assert equal(newest(tmp_path / "run"), newest(whole))


def test_the_second_signal_stops_at_once():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), StopRequest() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signal")
def test_a_closed_terminal_never_stops_at_once():
    """The shell and the system may both send its signal, and nobody is there to press Ctrl-C twice."""
    with StopRequest() as stop:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        assert stop.requested


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signal")
def test_nohup_is_respected():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopRequest() as stop:
            signal.raise_signal(signal.SIGHUP)
            assert not stop.requested
    finally:
        signal.signal(signal.SIGHUP, before)


# Starts a run, kills it and starts it again, `kills` times, each in its own folder.
KILLED = """
import os, random, signal, sys, time
from dataclasses import replace
from pathlib import Path
import torch
import torch.utils.tensorboard  # so that no child imports it
from tests.support.training import RUN, SETTINGS, make_run
from unianimate_core.training.loop.trainer import make_accelerator, train_run

torch.set_num_threads(1)
root, kills, chance = Path(sys.argv[1]), int(sys.argv[2]), random.Random(5)


def start(folder):
    child = os.fork()
    if child == 0:
        sys.stderr = open(os.devnull, "w")
        train_run(make_run(folder, SETTINGS, replace(RUN, steps=3, save_every=1)), make_accelerator(SETTINGS))
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
        time.sleep(0.001)  # at least one kill comes after a state, however slow the machine is
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
from tests.support.training import RUN, SETTINGS, make_run
from unianimate_core.training.loop import trainer

run = make_run(Path(sys.argv[1]), SETTINGS, replace(RUN, steps=10**6, workers=1))
batches = trainer.Trainer(run, trainer.make_accelerator(SETTINGS))._batches()
next(batches)
print(multiprocessing.active_children()[0].pid, flush=True)
input()
"""


SIGNALLED = """
import sys
from dataclasses import replace
from pathlib import Path
from tests.support.training import RUN, SETTINGS, make_run
from unianimate_core.training.loop import trainer

step = trainer.Trainer._step


def step_by_step(self, *given):
    print("step", flush=True)
    if self.step == 1:
        input()
    return step(self, *given)


trainer.Trainer._step = step_by_step
run = make_run(Path(sys.argv[1]), SETTINGS, replace(RUN, steps=10**6, workers=1))
trainer.train_run(run, trainer.make_accelerator(SETTINGS))
"""


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="Windows has no process groups")
@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_a_signal_to_all_processes_of_a_run_lets_the_step_end_too(name, tmp_path):
    """Ctrl-C and a closed terminal also signal the processes that read data, which the step still needs."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SIGNALLED, str(tmp_path / "run")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, **pipes) as process:
        assert [process.stdout.readline() for _ in range(2)] == ["step\n"] * 2
        os.killpg(process.pid, getattr(signal, name))
        _, errors = process.communicate("\n")
    assert "TrainingError: stopped after step 2 of 1000000, which is saved: repeat the command" in errors
    assert (tmp_path / "run" / "states" / "step_00000002").is_dir()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_no_worker_outlives_a_killed_run(tmp_path):
    """It would keep its memory until the machine restarts."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WITH_WORKER, str(tmp_path / "run")]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process:
        worker = os.pidfd_open(int(process.stdout.readline()))
        process.kill()
    assert select.select([worker], [], [], 30)[0], "the worker lives on"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
@pytest.mark.parametrize("kills", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_at_random_moments_ends_bit_identical(tmp_path, kills):
    """While it prepares data, in the middle of a step, or while it writes a state."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), str(kills)], cwd=ROOT, env=environment, check=True)
    expected = newest(tmp_path / "whole" / "run")
    for kill in range(kills):
        folder = tmp_path / str(kill) / "run"
        assert equal(newest(folder), expected)
        assert not list((folder / "states").glob(".*"))
    left = [int((tmp_path / str(kill) / "left").read_text()) for kill in range(kills)]
    assert any(left), "no kill came after the first state"
