"""A run that is killed, at whatever moment, loses no finished segment and hinders no later run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from unianimate_core.segment_store import RunBusy, open_run

ROOT = Path(__file__).parents[2]

# A chain of ten segments through the tiny network, each depending on the one before, to a video. It is run, killed and
# run again `kills` times. A child counts the segments it computes.
CHAIN = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from unianimate_core import linear_vae
from unianimate_core.config import ModelConfig
from unianimate_core.diffusion import ddim_sample, guided
from unianimate_core.long_video import Handover, Seams, chain_segments, split_segments
from unianimate_core.model import UNet
from unianimate_core.segment_store import open_run, segment_keys
from unianimate_core.video import video_writer
from tests.parity.made_up import conditions, latents, tensor

torch.set_num_threads(1)
torch.manual_seed(0)
SEGMENTS, SEAMS = split_segments(22, 4, 2), Seams(2, 1.0, hold_latents=True)
unet = UNet(ModelConfig(32, (1,), 1, (False,), 16, 32, 16, 1)).requires_grad_(False).eval()
text, given = tensor("text", (1, 2, 16)), conditions(("pose", "reference_latent"), "", 22, 64, 64)


def sample(frames, handover, seed):
    own = given | {"pose": given["pose"][:, :, frames.start : frames.stop]}
    if handover is not None:
        own["first_frame"] = handover.picture
    return ddim_sample(guided(unet, own, text, 1), latents(f"noise {seed}", len(frames), 64, 64), 1)


def chain(root):
    keys = segment_keys("run", SEGMENTS)
    with open_run(root, "run") as store, (root / "computed").open("a") as computed, \\
            video_writer(root / "result.mp4", 8) as video:

        def add(latents):
            for picture in (255 * pictures(latents)[0]).byte().movedim(0, -1).numpy():
                video.write(picture)

        handover, start = None, 0
        while start < len(keys) and (stored := store.load(start, keys[start])) is not None:
            handover, start = Handover(stored["picture"], stored["shared"]), start + 1
            add(stored["latents"])
        for segment in chain_segments(
            SEGMENTS, sample, pictures, seed=7, seams=SEAMS, handover=handover, start=start
        ):
            print(segment.index, file=computed, flush=True)
            store.save(segment.index, keys[segment.index], {
                "latents": segment.latents, "picture": segment.handover.picture, "shared": segment.handover.latents,
            })
            add(segment.latents)


def pictures(latents):
    return linear_vae.decode(latents).repeat_interleave(8, -1).repeat_interleave(8, -2)


def start(root):
    root.mkdir(exist_ok=True)
    child = os.fork()
    if child == 0:
        chain(root)
        os._exit(0)
    return child


root, kills, chance = Path(sys.argv[1]), int(sys.argv[2]), random.Random(4)
began = time.monotonic()
os.waitpid(start(root / "whole"), 0)
whole = time.monotonic() - began
for kill in range(kills):
    child = start(root / str(kill))
    time.sleep(chance.uniform(0, whole))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    _, status = os.waitpid(start(root / str(kill)), 0)
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
def test_the_lock_dies_with_its_holder_whatever_children_live_on(tmp_path):
    """Processes that read data take a moment to notice that their parent was killed."""
    program = "import os, sys, time; from unianimate_core.segment_store import open_run\n"
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
def test_a_run_that_is_killed_at_random_moments_ends_in_the_identical_video(tmp_path):
    """Twenty times a chain of ten segments; none is computed twice but the one that was under way."""
    subprocess.run([sys.executable, "-c", CHAIN, str(tmp_path), "20"], cwd=ROOT, check=True)
    whole = (tmp_path / "whole" / "result.mp4").read_bytes()
    cut_off = 0
    for killed in tmp_path.glob("[0-9]*"):
        assert (killed / "result.mp4").read_bytes() == whole
        computed = [int(line) for line in (killed / "computed").read_text().split()]
        assert sorted(set(computed)) == list(range(10))
        assert all(after - before in (0, 1) for before, after in pairwise(computed))
        assert len(computed) <= 11
        assert not list(killed.glob("*/.*"))
        cut_off += bool(list(killed.glob(".*.part")))
    assert cut_off > 3
