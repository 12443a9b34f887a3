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

# A chain of ten segments through a tiny network, each depending on the one before, to a video. It is killed at moments
# of the whole run, each time in a folder of its own, and run again there.
CHAIN = """
import os, random, signal, sys
from pathlib import Path
import torch
from unianimate_core.config import ModelConfig
from unianimate_core.diffusion import ddim_sample, guided
from unianimate_core.long_video.chain import split_segments
from unianimate_core.long_video.run import plan_chain, run_chain, segment_images
from unianimate_core.long_video.seams import Seams
from unianimate_core.long_video.segment_store import open_run
from unianimate_core.media.images import as_frames
from unianimate_core.media.video import video_writer
from unianimate_core.model import UNet
from unianimate_core.vae.linear import decode_enlarged
from tests.support.recorded import conditions, latents, tensor

torch.set_num_threads(1)
torch.manual_seed(0)
SEAMS = Seams(2, 1.0, hold_latents=True)
PLAN = plan_chain(split_segments(22, 4, 2), SEAMS, 7, run="run", pose_hash=str)
unet = UNet(ModelConfig(32, (1,), 1, (False,), 16, 32, 16, 1)).requires_grad_(False).eval()
text, given = tensor("text", (1, 2, 16)), conditions(("pose", "reference_latent"), "", 22, 64, 64)
moments, killed_at = 0, None


def pass_moment():
    global moments
    if moments == killed_at:
        os.kill(os.getpid(), signal.SIGKILL)
    moments += 1


def watched(function):
    def call(*args, **options):
        pass_moment()
        result = function(*args, **options)
        pass_moment()
        return result

    return call


def chain(root):
    os.fsync, os.replace = watched(os.fsync), watched(os.replace)

    def sample(frames, handover, seed):
        own = given | {"pose": given["pose"][:, :, frames.start : frames.stop]}
        if handover is not None:
            own["first_frame"] = handover.image
        sampled = ddim_sample(guided(unet, own, text, 1), latents(f"noise {seed}", len(frames), 64, 64), 1)
        print(PLAN.segments.index(frames), file=computed, flush=True)
        return sampled

    with open_run(root, "run") as store, (root / "computed").open("a") as computed, \
            video_writer(root / "result.mp4", 8) as video:
        for segment in run_chain(PLAN, store, watched(sample), decode_enlarged):
            for images in segment_images(segment, decode_enlarged):
                for frame in as_frames(images):
                    video.write(frame)
    (root / "moments").write_text(str(moments))


def run(root, moment=None):
    global killed_at
    killed_at = moment
    root.mkdir(exist_ok=True)
    child = os.fork()
    if child == 0:
        chain(root)
        os._exit(0)
    return os.waitpid(child, 0)[1]


root, kills = Path(sys.argv[1]), int(sys.argv[2])
assert run(root / "whole") == 0
for moment in random.Random(4).sample(range(int((root / "whole" / "moments").read_text())), kills):
    assert run(root / str(moment), moment) == signal.SIGKILL
    assert run(root / str(moment)) == 0
"""


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
def test_a_run_that_is_killed_at_random_moments_ends_in_the_identical_video(tmp_path):
    """Twenty times a chain of ten segments, in the midst of sampling or of writing; none is computed twice but the one
    that was under way.
    """
    subprocess.run([sys.executable, "-c", CHAIN, str(tmp_path), "20"], cwd=ROOT, check=True)
    whole = (tmp_path / "whole" / "result.mp4").read_bytes()
    killed = list(tmp_path.glob("[0-9]*"))
    assert len(killed) == 20
    for folder in killed:
        assert (folder / "result.mp4").read_bytes() == whole
        computed = [int(line) for line in (folder / "computed").read_text().split()]
        assert sorted(set(computed)) == list(range(10))
        assert all(after - before in (0, 1) for before, after in pairwise(computed))
        assert len(computed) <= 11
        assert not list(folder.glob("*/.*"))
