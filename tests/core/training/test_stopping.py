"""A run that is asked to stop, or killed, loses as little as can be, and no process of it stays behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.support import ROOT
from tests.support.training import RUN, equal, newest, run
from unianimate_core.training.loop import trainer
from unianimate_core.training.loop.interruption import Interruption
from unianimate_core.training.settings import TrainingError


@pytest.fixture(autouse=True)
def _terminal():
    """As in a terminal: under nohup the signal would be ignored, here and in children."""
    if not hasattr(signal, "SIGHUP"):
        yield
        return
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


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


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signal")
def test_a_closed_terminal_lets_the_step_end_however_often_it_is_told():
    """The shell tells its programs, and the system tells them once more; nobody is there who asks for haste."""
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        assert interruption.asked


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no such signal")
def test_nohup_is_respected():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            signal.raise_signal(signal.SIGHUP)
            assert not interruption.asked
    finally:
        signal.signal(signal.SIGHUP, before)


KILLS = 5
# A run is started, killed and started again `kills` times, each time in a folder of its own.
KILLED = """
import os, random, signal, sys, time
from dataclasses import replace
from pathlib import Path
import torch
import torch.utils.tensorboard  # or each child would
from tests.core.training.made_up import RUN, SETTINGS, make_job
from unianimate_core.training.loop.trainer import make_accelerator, train

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
@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_a_signal_to_all_processes_of_a_run_lets_the_step_end_too(name, tmp_path):
    """Ctrl-C and a closed terminal reach those that read data as well; the run must not fail for want of them."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SIGNALLED, str(tmp_path / "run")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, **pipes) as process:
        assert [process.stdout.readline() for _ in range(2)] == ["step\n"] * 2
        os.killpg(process.pid, getattr(signal, name))
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
