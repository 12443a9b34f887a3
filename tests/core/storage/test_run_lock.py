"""A folder is locked by one process at a time; tests/core/long_video/test_killed_runs.py covers processes that die."""

from __future__ import annotations

import os
import shutil

import pytest

from unianimate_core.storage.run_lock import LOCK_NAME, RunBusy, run_lock


def test_a_second_lock_is_refused_at_once_and_names_the_holder(tmp_path):
    sentence = rf"^{tmp_path} is in use by process {os.getpid()} since .*: wait until that process ends$"
    with run_lock(tmp_path), pytest.raises(RunBusy, match=sentence), run_lock(tmp_path):
        pass
    with run_lock(tmp_path):
        assert (tmp_path / LOCK_NAME).is_file()


def test_the_message_may_be_the_callers(tmp_path):
    message = "{folder} is taken by {holder}: choose another one"
    with (
        run_lock(tmp_path),
        pytest.raises(RunBusy, match=rf"^{tmp_path} is taken by process"),
        run_lock(tmp_path, message),
    ):
        pass


def test_a_folder_that_is_missing_is_made(tmp_path):
    """Cleaning may delete it at any moment."""
    with run_lock(tmp_path / "run"):
        pass
    shutil.rmtree(tmp_path / "run")
    with run_lock(tmp_path / "run"):
        assert (tmp_path / "run" / LOCK_NAME).is_file()
