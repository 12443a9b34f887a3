"""A chain that can be resumed: what is stored is loaded, the rest sampled, saved, and handed on in order."""

from __future__ import annotations

import pytest
import torch

from unianimate_core.long_video.chain import split_segments
from unianimate_core.long_video.run import plan_chain, run_chain, segment_images
from unianimate_core.long_video.seams import Seams
from unianimate_core.long_video.segment_store import NoStore, open_run
from unianimate_core.vae.linear import decode_enlarged

SEAMS = Seams(2)
SEGMENTS = split_segments(14, 5, 2)


def plan(run: str = "run", pose_hash=str, seed: int = 3):
    return plan_chain(SEGMENTS, SEAMS, seed, run=run, pose_hash=pose_hash)


class Sampler:
    """Latents that depend on the frames, the seed and the hand-over. sampled: first frames, in order."""

    def __init__(self, stop_at: int | None = None):
        self.sampled: list[int] = []
        self.stop_at = stop_at

    def __call__(self, frames, handover, seed):
        if frames.start == self.stop_at:
            raise KeyboardInterrupt
        self.sampled.append(frames.start)
        noise = torch.randn(1, 4, len(frames), 8, 8, generator=torch.Generator().manual_seed(seed % 2**63))
        return noise if handover is None else noise + handover.image.mean()


def images(chain) -> torch.Tensor:
    return torch.cat([image for segment in chain for image in segment_images(segment, decode_enlarged)], dim=2)


def test_a_resumed_chain_gives_the_identical_images_and_samples_only_what_is_missing(tmp_path):
    whole = images(run_chain(plan(), NoStore(), Sampler(), decode_enlarged))
    assert whole.shape == (1, 3, 14, 64, 64)
    cut, rest, started = Sampler(stop_at=SEGMENTS[2].start), Sampler(), []
    with open_run(tmp_path, "run") as store, pytest.raises(KeyboardInterrupt):
        list(run_chain(plan(), store, cut, decode_enlarged))
    with open_run(tmp_path, "run") as store:
        chain = list(run_chain(plan(), store, rest, decode_enlarged, before_sampling=started.append))
    assert [segment.restored for segment in chain] == [True, True, False, False]
    assert started == [2]
    assert cut.sampled + rest.sampled == [frames.start for frames in SEGMENTS]
    assert torch.equal(images(chain), whole)


def test_a_segment_is_in_the_store_before_it_is_handed_on(tmp_path):
    """Whatever stops the run while it is shown, it need not be sampled again."""
    with open_run(tmp_path, "run") as store:
        for segment in run_chain(plan(), store, Sampler(), decode_enlarged):
            assert store.load(segment.index, plan().keys[segment.index]) is not None


@pytest.mark.parametrize("frame", [0, 6, 13])
def test_a_changed_pose_keeps_the_segments_before_it(frame):
    """Those that show it, and all after them, are other segments."""
    changed = plan(pose_hash=lambda frames: f"{frames} {frame in frames}")
    same = plan(pose_hash=lambda frames: f"{frames} False")
    first = next(index for index, frames in enumerate(SEGMENTS) if frame in frames)
    for index, (one, other) in enumerate(zip(changed.keys, same.keys, strict=True)):
        assert (one == other) == (index < first)


def test_another_run_has_other_keys():
    assert not set(plan("one").keys) & set(plan("other").keys)


def test_a_negative_seed_is_refused_before_anything_is_made():
    with pytest.raises(ValueError, match="the seed is -1: give 0 or more"):
        plan(seed=-1)
