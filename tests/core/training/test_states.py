"""States on disk: whole or not there, the newest kept, and what becomes of damaged ones."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.training import RUN, SETTINGS, equal, make_job, newest, run
from unianimate_core.training.loop import trainer
from unianimate_core.training.loop.trainer import make_accelerator, train
from unianimate_core.training.settings import TrainingError
from unianimate_core.training.states import States


def test_only_the_newest_states_are_kept(whole):
    assert sorted(state.name for state in (whole / "states").iterdir()) == ["step_00000004", "step_00000006"]


def test_a_damaged_state_is_passed_over_with_a_warning(whole, tmp_path, caplog):
    """A file cut off by a broken disk must not end a run that has an older state."""
    run(tmp_path / "run", run=replace(RUN, steps=6))
    weights = tmp_path / "run" / "states" / "step_00000006" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    run(tmp_path / "run", run=replace(RUN, steps=6))
    assert "step_00000006 is passed over" in caplog.text
    assert equal(newest(tmp_path / "run"), newest(whole))


def test_a_damaged_state_does_not_count_among_those_that_are_kept(whole, tmp_path):
    """Else it would be the newest of them for long, and each good one written be removed in its favor."""
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    (folder / "states" / "step_00000006" / "state.json").write_bytes(b"\xff")
    run(folder, run=replace(RUN, steps=5, save_every=1, kept_states=1))
    assert [state.name for state in (folder / "states").iterdir()] == ["step_00000005"]


def test_a_run_whose_states_are_all_damaged_does_not_begin_anew(whole, tmp_path):
    """Days of training may be in them, and be brought back; beginning anew would remove them."""
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    for index in folder.glob("states/*/state.json"):
        index.write_text("[]")
    with pytest.raises(TrainingError, match=r"no state in .*states can be read: restore one, or give a new folder"):
        run(folder)
    assert len(list((folder / "states").iterdir())) == 2


def test_a_state_out_of_reach_is_not_taken_for_a_damaged_one(whole, tmp_path, monkeypatch):
    """A network disk may be away for a moment, and what is on it whole."""
    shutil.copytree(whole, tmp_path / "run")

    def unreachable(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "state.json")

    monkeypatch.setattr(Path, "read_text", unreachable)
    with pytest.raises(PermissionError, match=r"state\.json"):
        States(tmp_path / "run" / "states", {}, kept=2).newest()


def test_processes_that_found_different_states_do_not_train_together(tmp_path, monkeypatch):
    """As on machines that share no storage, of which only the first has the states."""
    monkeypatch.setattr(trainer, "gather_object", lambda mine: [*mine, 3])
    with pytest.raises(TrainingError, match=r"from different steps \(0, 3\): put .*run on storage that all machines"):
        run(tmp_path / "run")


def test_processes_wait_for_one_that_prepares_data_for_hours():
    """Of itself PyTorch gives up after ten minutes on GPUs."""
    handler = make_accelerator(SETTINGS).init_handler
    assert handler is not None
    assert handler.timeout == trainer.PATIENCE


def test_a_full_disk_leaves_the_last_good_state(tmp_path):
    """Files may grow to a limit of the system's, as on a disk that fills while a state is written."""
    resource = pytest.importorskip("resource", reason="Windows has no such limits")
    folder = tmp_path / "run"
    run(folder, run=replace(RUN, steps=2))
    before, limits = newest(folder), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        with pytest.raises(OSError, match=r"step 4 could not be written .* make room .* goes on from step_00000002"):
            run(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert [state.name for state in (folder / "states").iterdir()] == ["step_00000002"]
    assert equal(newest(folder), before)
    run(folder)


def test_a_disk_known_to_be_too_full_is_told_before_writing(tmp_path, monkeypatch):
    job = make_job(tmp_path / "run")
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    with pytest.raises(OSError, match=r"could not be written .* MB are needed, 0\.0 MB are free"):
        train(job, make_accelerator(SETTINGS))
    assert not list((tmp_path / "run" / "states").iterdir())
