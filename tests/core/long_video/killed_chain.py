"""A chain of ten segments that is killed again and again, and each time finishes when it is run again.

    python -m tests.core.long_video.killed_chain FOLDER KILLS

Each segment depends on the one before. A moment is before or after a segment is sampled, a file is synced or renamed.
Each kill is at a random moment, in a folder of its own, FOLDER/0 and so on. FOLDER/whole is the run without a kill. The
first video that differs from that run's ends the program. It forks, so it is for Linux and macOS.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from tests.support.recorded import conditions, latents, tensor
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

SEAMS = Seams(2, 1.0, hold_latents=True)
PLAN = plan_chain(split_segments(22, 4, 2), SEAMS, 7, run="run", pose_hash=str)


class Moments:
    """Counts the moments of a run, and kills the process at one of them."""

    def __init__(self, killed_at: int | None):
        self.killed_at = killed_at
        self.count = 0

    def around(self, function: Callable) -> Callable:
        """The function with a moment before and one after each call."""

        def call(*args: Any, **options: Any) -> Any:
            self._next()
            result = function(*args, **options)
            self._next()
            return result

        return call

    def _next(self) -> None:
        if self.count == self.killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1


@cache
def network() -> UNet:
    torch.manual_seed(0)
    return UNet(ModelConfig(32, (1,), 1, (False,), 16, 32, 16, 1)).requires_grad_(False).eval()


@cache
def clip_conditions() -> dict[str, torch.Tensor]:
    return conditions(("pose", "reference_latent"), "", 22, 64, 64)


def run_once(folder: Path, killed_at: int | None) -> None:
    """Write folder/result.mp4, the segments that were sampled to folder/computed, and the count to folder/moments."""
    unet, text, given = network(), tensor("text", (1, 2, 16)), clip_conditions()
    moments = Moments(killed_at)
    os.fsync, os.replace = moments.around(os.fsync), moments.around(os.replace)

    def sample(frames, handover, seed):
        own = given | {"pose": given["pose"][:, :, frames.start : frames.stop]}
        if handover is not None:
            own["first_frame"] = handover.image
        sampled = ddim_sample(guided(unet, own, text, 1), latents(f"noise {seed}", len(frames), 64, 64), 1)
        print(PLAN.segments.index(frames), file=computed, flush=True)
        return sampled

    with (
        open_run(folder, "run") as store,
        (folder / "computed").open("a") as computed,
        video_writer(folder / "result.mp4", 8) as video,
    ):
        for segment in run_chain(PLAN, store, moments.around(sample), decode_enlarged):
            for images in segment_images(segment, decode_enlarged):
                for frame in as_frames(images):
                    video.write(frame)
    (folder / "moments").write_text(str(moments.count))


def run_in_child(folder: Path, killed_at: int | None = None) -> int:
    """Returns the status of the child, as os.waitpid does: the signal that killed it, or 0."""
    folder.mkdir(exist_ok=True)
    child = os.fork()
    if child == 0:
        run_once(folder, killed_at)
        os._exit(0)
    return os.waitpid(child, 0)[1]


def random_moments(count: int) -> Iterator[int]:
    """Every moment of a run in random order, then every moment again in another order, without end."""
    chance = random.Random(4)
    while True:
        yield from chance.sample(range(count), count)


def main(root: Path, kills: int) -> None:
    torch.set_num_threads(1)
    for made_once_for_all_children in (network, clip_conditions):
        made_once_for_all_children()
    assert run_in_child(root / "whole") == 0
    whole = (root / "whole" / "result.mp4").read_bytes()
    moments = random_moments(int((root / "whole" / "moments").read_text()))
    for kill, moment in zip(tqdm(range(kills), unit=" kills", disable=None), moments, strict=False):
        assert run_in_child(root / str(kill), moment) == signal.SIGKILL
        assert run_in_child(root / str(kill)) == 0
        assert (root / str(kill) / "result.mp4").read_bytes() == whole, f"killed at moment {moment}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
