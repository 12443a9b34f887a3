"""A run that is killed, at whatever moment, loses no finished segment and hinders no later run."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from itertools import pairwise

import pytest

from tests.support import ROOT
from unianimate_core.long_video.segment_store import RunBusy, open_run
from unianimate_core.storage.run_lock import run_lock


def test_the_lock_of_a_killed_run_is_taken_over(tmp_path):
    """The file it left behind means nothing, and neither does another process of the same number."""
    program = "import sys, time; from unianimate_core.long_video.segment_store import open_run\n"
    program += "with open_run(sys.argv[1], 'run'): print('open', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"open\n"
    with pytest.raises(RunBusy, match=f"process {process.pid}"), open_run(tmp_path, "run"):
        pass
    process.kill()
    process.wait()
    process.stdout.close()
    with open_run(tmp_path, "run"):
        pass


def test_a_disk_without_locks_is_told_with_the_folder_on_it(tmp_path, monkeypatch):
    """Trainers have another folder than ComfyUI's output."""
    fcntl = pytest.importorskip("fcntl", reason="Windows locks otherwise")

    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    with pytest.raises(OSError, match=f"put {tmp_path} on a disk that has locks"), run_lock(tmp_path):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_the_lock_dies_with_its_holder_whatever_children_live_on(tmp_path):
    """Processes that read data take a moment to notice that their parent was killed."""
    program = "import os, sys, time; from unianimate_core.long_video.segment_store import open_run\n"
    program += (
        "with open_run(sys.argv[1], 'run'): child = os.fork(); child and print(child, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    process.stdout.close()
    try:
        os.kill(child, 0)  # it is there
        with open_run(tmp_path, "run"):
            pass
    finally:
        os.kill(child, signal.SIGKILL)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
@pytest.mark.parametrize("kills", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_a_run_that_is_killed_at_random_moments_ends_in_the_identical_video(tmp_path, kills):
    """A chain of ten segments is killed while it samples or writes. Only the segment under way is computed again."""
    program = "tests.core.long_video.killed_chain"
    subprocess.run([sys.executable, "-m", program, str(tmp_path), str(kills)], cwd=ROOT, check=True)
    whole = (tmp_path / "whole" / "result.mp4").read_bytes()
    killed = list(tmp_path.glob("[0-9]*"))
    assert len(killed) == kills
    for folder in killed:
        assert (folder / "result.mp4").read_bytes() == whole
        computed = [int(line) for line in (folder / "computed").read_text().split()]
        assert sorted(set(computed)) == list(range(10))
        assert all(after - before in (0, 1) for before, after in pairwise(computed))
        assert len(computed) <= 11
        assert not list(folder.glob("*/.*"))
