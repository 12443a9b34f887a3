"""States on disk: whole or absent, the newest kept, the damaged ones skipped."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.training import RUN, SETTINGS, equal, make_run, newest, train_in
from unianimate_core.training.loop import trainer
from unianimate_core.training.loop.trainer import make_accelerator, train_run
from unianimate_core.training.settings import TrainingError
from unianimate_core.training.states import States


def test_only_the_newest_states_are_kept(whole):
    assert sorted(state.name for state in (whole / "states").iterdir()) == ["step_00000004", "step_00000006"]


def test_a_damaged_state_is_skipped_with_a_warning(whole, tmp_path, caplog):
    """A file that a broken disk cut off must not end a run that has an older state."""
    train_in(tmp_path / "run", run=replace(RUN, steps=6))
    weights = tmp_path / "run" / "states" / "step_00000006" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    train_in(tmp_path / "run", run=replace(RUN, steps=6))
    assert re.search("skipped .*step_00000006, which is damaged", caplog.text)
    assert equal(newest(tmp_path / "run"), newest(whole))


def test_a_damaged_state_does_not_count_as_a_kept_one(whole, tmp_path):
    """Otherwise it would stay the newest, and every good state after it would be removed instead."""
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    (folder / "states" / "step_00000006" / "state.json").write_bytes(b"\xff")
    train_in(folder, run=replace(RUN, steps=5, save_every=1, kept_states=1))
    assert [state.name for state in (folder / "states").iterdir()] == ["step_00000005"]


def test_a_run_whose_states_are_all_damaged_does_not_start_again(whole, tmp_path):
    """They may hold days of training and be restored. A new start would remove them."""
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    for index in folder.glob("states/*/state.json"):
        index.write_text("[]")
    with pytest.raises(TrainingError, match=r"every state in .*states is damaged: restore one, or give a new folder"):
        train_in(folder)
    assert len(list((folder / "states").iterdir())) == 2


def test_a_state_that_cannot_be_reached_is_not_skipped_as_damaged(whole, tmp_path, monkeypatch):
    """A network disk may be away for a moment while the state on it is whole."""
    shutil.copytree(whole, tmp_path / "run")

    def unreachable(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "state.json")

    monkeypatch.setattr(Path, "read_text", unreachable)
    with pytest.raises(PermissionError, match=r"state\.json"):
        States(tmp_path / "run" / "states", {}, kept=2).newest()


def test_processes_that_found_different_states_do_not_train_together(tmp_path, monkeypatch):
    """Such as on machines without shared storage, of which only the first has the states."""
    monkeypatch.setattr("accelerate.utils.gather_object", lambda mine: [*mine, 3])
    with pytest.raises(TrainingError, match=r"states of different steps \(0, 3\): put .*run on storage that all"):
        train_in(tmp_path / "run")


def test_processes_wait_for_one_that_prepares_data_for_hours():
    """PyTorch's own limit is ten minutes on GPUs."""
    handler = make_accelerator(SETTINGS).init_handler
    assert handler is not None
    assert handler.timeout == trainer.PATIENCE


def test_a_full_disk_leaves_the_last_good_state(tmp_path):
    """A limit on the size of files stands for a disk that fills up while a state is written."""
    resource = pytest.importorskip("resource", reason="Windows has no such limits")
    folder = tmp_path / "run"
    train_in(folder, run=replace(RUN, steps=2))
    before, limits = newest(folder), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        with pytest.raises(OSError, match=r"step 4 could not be written .* make room .* continues from step_00000002"):
            train_in(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert [state.name for state in (folder / "states").iterdir()] == ["step_00000002"]
    assert equal(newest(folder), before)
    train_in(folder)


def test_a_disk_that_is_too_full_is_reported_before_writing(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run")
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(OSError, match=r"could not be written .*needs .* MB, 0\.0 MB are free"):
        train_run(run, make_accelerator(SETTINGS))
    assert not list((tmp_path / "run" / "states").iterdir())
