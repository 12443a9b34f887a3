"""A run that is killed, at whatever moment, loses no finished segment and hinders no later run."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from unianimate_core.segment_store import RunBusy, open_run

ROOT = Path(__file__).parents[2]

# A chain whose segments depend on the one before, as a video's do. It is run, killed and run again `kills` times.
CHAIN = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from unianimate_core.segment_store import open_run, segment_keys

SEGMENTS = 10


def chain(root, seconds):
    keys = segment_keys("run", range(SEGMENTS))
    with open_run(root, "run") as store, (root / "computed").open("a") as computed:
        before = torch.zeros(4, 32, 32)
        for index, key in enumerate(keys):
            stored = store.load(index, key)
            if stored is None:
                print(index, file=computed, flush=True)
                time.sleep(seconds)
                noise = torch.randn((4, 32, 32), generator=torch.Generator().manual_seed(index))
                stored = {"latents": torch.sin(before + noise)}
                store.save(index, key, stored)
            before = stored["latents"]
    (root / "result").write_bytes(before.numpy().tobytes())


def start(root, seconds):
    root.mkdir(exist_ok=True)
    child = os.fork()
    if child == 0:
        chain(root, seconds)
        os._exit(0)
    return child


root, kills, chance = Path(sys.argv[1]), int(sys.argv[2]), random.Random(4)
os.waitpid(start(root / "whole", 0), 0)
for kill in range(kills):
    child = start(root / str(kill), 0.01)
    time.sleep(chance.uniform(0, 0.15))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    _, status = os.waitpid(start(root / str(kill), 0), 0)
    assert status == 0
"""


def test_the_lock_of_a_killed_run_is_taken_over(tmp_path):
    """The file it left behind means nothing, and neither does another process of the same number."""
    program = "import sys, time; from unianimate_core.segment_store import open_run\n"
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_run_that_is_killed_at_random_moments_ends_bit_identical(tmp_path):
    """Twenty times a chain of ten segments; none is computed twice but the one that was under way."""
    subprocess.run([sys.executable, "-c", CHAIN, str(tmp_path), "20"], cwd=ROOT, check=True)
    whole = (tmp_path / "whole" / "result").read_bytes()
    cut_off = 0
    for killed in tmp_path.glob("[0-9]*"):
        assert (killed / "result").read_bytes() == whole
        computed = [int(line) for line in (killed / "computed").read_text().split()]
        assert sorted(set(computed)) == list(range(10))
        assert all(after - before in (0, 1) for before, after in pairwise(computed))
        assert len(computed) <= 11
        assert not list(killed.glob("*/.*"))
        cut_off += len(computed) == 11
    assert cut_off > 3
