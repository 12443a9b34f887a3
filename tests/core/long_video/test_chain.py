"""Chains: what must hold for any sampler, any decoder and any number of frames."""

from __future__ import annotations

import weakref
from itertools import pairwise

import pytest
import torch
from einops import rearrange
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.support.examples import examples
from unianimate_core.diffusion import Denoiser, NoiseSchedule
from unianimate_core.long_video.chain import Segment, chain_segments, new_frames, segment_seed, split_segments
from unianimate_core.long_video.seams import Handover, Seams
from unianimate_core.long_video.windows import sample_windows

totals = st.integers(1, 200)


@st.composite
def segment_sizes(draw) -> tuple[int, int]:
    """(length, shared), from one shared frame to all but one."""
    length = draw(st.integers(2, 60))
    return length, draw(st.integers(1, length - 1))


def normal(seed: int, frames: int) -> Tensor:
    return torch.randn((1, 4, frames, 2, 2), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def perfect(x0: Tensor) -> Denoiser:
    """Knows the images of a window and says their v."""

    def denoiser(x: Tensor, t: int) -> Tensor:
        alpha_bar = float(NoiseSchedule().alpha_bar[t])
        return (alpha_bar**0.5 * x - x0) / (1 - alpha_bar) ** 0.5

    return denoiser


@given(totals, segment_sizes())
def test_segments_share_the_asked_frames_and_cover_all(total, sizes):
    """All of the asked length but the last, which is not moved back and never only repeats shared frames."""
    length, shared = sizes
    segments = split_segments(total, length, shared)
    assert segments[0].start == 0
    assert segments[-1].stop == total
    for before, after in pairwise(segments):
        assert len(before) == length
        assert after.start == before.stop - shared
        assert shared < len(after) <= length


@given(totals, segment_sizes())
def test_each_frame_is_shown_by_one_segment(total, sizes):
    """A segment keeps back the shared frames but the first, which the next one is blended into."""
    segments = split_segments(total, *sizes)
    shown = new_frames(segments)
    assert [frame for frames in shown for frame in frames] == list(range(total))
    for frames, own in zip(segments, shown, strict=True):
        assert set(own) <= set(frames)


@pytest.mark.parametrize(
    ("total", "length", "expected"),
    [
        (1, 1, [range(1)]),
        (1, 32, [range(1)]),
        (5, 32, [range(5)]),
        (32, 32, [range(32)]),
        (33, 32, [range(32), range(31, 33)]),
        (63, 32, [range(32), range(31, 63)]),
        (3, 2, [range(2), range(1, 3)]),
    ],
)
def test_segments_at_the_edges(total, length, expected):
    assert split_segments(total, length) == expected


def test_segments_may_share_more():
    assert split_segments(14, 8, 3) == [range(8), range(5, 13), range(10, 14)]
    assert new_frames(split_segments(14, 8, 3)) == [range(6), range(6, 11), range(11, 14)]


@pytest.mark.parametrize(
    ("total", "length", "shared", "message"),
    [
        (0, 32, 1, "there are 0 frames: give at least 1"),
        (2, 1, 1, "the segment length is 1 for 2 frames: give at least 2, as segments share 1"),
        (100, 0, 1, "the segment length is 0 for 100 frames: give at least 2"),
        (1, 0, 1, "the segment length is 0 for 1 frames: give at least 1"),
        (100, 8, 8, "the segment length is 8 for 100 frames: give at least 9, as segments share 8"),
        (100, 8, 0, "segments share 0 frames: give at least 1"),
    ],
)
def test_impossible_segments_are_refused(total, length, shared, message):
    with pytest.raises(ValueError, match=message):
        split_segments(total, length, shared)


class FakeSampler:
    """Latents that follow from all that a segment may depend on; remembers what it was asked."""

    def __init__(self, stop_at: int | None = None):
        self.stop_at = stop_at
        self.asked: list[tuple[range, Handover | None, int]] = []

    def __call__(self, frames: range, handover: Handover | None, seed: int) -> Tensor:
        if frames.start == self.stop_at:
            raise KeyboardInterrupt
        self.asked.append((frames, handover, seed))
        before = 0 if handover is None else float(handover.image.mean())
        if handover is not None and handover.latents is not None:
            before += float(handover.latents.mean())
        return normal(seed % 2**32, len(frames)) + before


def decode(latents: Tensor) -> Tensor:
    """Images that tell which latents they came from."""
    return latents[:, :3].repeat_interleave(8, -1).repeat_interleave(8, -2).sigmoid()


def chained(segments: list[range], sampler: FakeSampler | None = None, seed: int = 7, **start) -> list[Segment]:
    return list(chain_segments(segments, sampler or FakeSampler(), decode, seed=seed, **start))


@examples(25)
@given(st.integers(1, 30), st.integers(2, 9), st.integers(1, 8))
def test_a_chain_shows_each_frame_once(total, length, shared):
    shared = min(shared, length - 1)
    result = chained(split_segments(total, length, shared), seams=Seams(shared))
    assert [frame for segment in result for frame in segment.new_frames] == list(range(total))
    for segment in result:
        assert segment.latents.shape[2] == len(segment.new_frames)
        assert torch.equal(segment.handover.image, decode(segment.latents)[:, :, -1:])


def test_a_segment_begins_with_the_last_image_of_the_one_before():
    """Decoded: first-frame conditioning takes an image. The first segment has the reference alone."""
    sampler = FakeSampler()
    result = chained(split_segments(10, 4), sampler)
    assert [frames for frames, _, _ in sampler.asked] == [range(4), range(3, 7), range(6, 10)]
    assert sampler.asked[0][1] is None
    for before, (_, handover, _) in zip(result, sampler.asked[1:], strict=False):
        assert handover is not None
        assert torch.equal(handover.image, decode(before.latents)[:, :, -1:])


def test_a_chain_can_begin_with_a_image():
    """A first frame of the user's belongs to the first segment, whose own frame 0 is shown."""
    sampler = FakeSampler()
    image = torch.full((1, 3, 1, 16, 16), 0.5)
    result = chained([range(4)], sampler, handover=Handover(image))
    given = sampler.asked[0][1]
    assert given is not None
    assert torch.equal(given.image, image)
    assert result[0].new_frames == range(4)


def test_what_was_yielded_survives_an_interruption():
    """Nothing finished is lost, and nothing is sampled before it is asked for."""
    finished = []
    chain = chain_segments(split_segments(13, 4), FakeSampler(stop_at=6), decode, seed=7)
    with pytest.raises(KeyboardInterrupt):
        for segment in chain:
            finished.append(segment.index)
    assert finished == [0, 1]


@examples(25)
@given(st.integers(0, 2**64 - 1), st.integers(1, 4), st.integers(1, 3))
def test_a_resumed_chain_goes_on_identically(seed, start, shared):
    """From the handover before the gap, to the bit, and without sampling what is there already.

    Read from a file the image may lie otherwise in memory; the mean that the sampler takes would differ by a bit.
    """
    seams = Seams(shared, match_colors=0.5)
    segments = split_segments(25, 5 + shared, shared)
    whole = chained(segments, seed=seed, seams=seams)
    handover = whole[start - 1].handover
    stored = rearrange(handover.image, "b c f h w -> b f h w c").contiguous()
    sampler = FakeSampler()
    again = Handover(rearrange(stored, "b f h w c -> b c f h w"), handover.latents)
    rest = chained(segments, sampler, seed=seed, start=start, handover=again, seams=seams)
    assert [frames for frames, _, _ in sampler.asked] == segments[start:]
    for again, before in zip(rest, whole[start:], strict=True):
        assert (again.index, again.frames, again.seed) == (before.index, before.frames, before.seed)
        assert torch.equal(again.latents, before.latents)
        assert torch.equal(again.handover.image, before.handover.image)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (-1, "the chain starts at segment -1 of 5: give 0 to 5"),
        (6, "the chain starts at segment 6 of 5: give 0 to 5"),
        (2, "the chain starts at segment 2 with 0 shared frames: give the handover of segment 1, which has 1"),
    ],
)
def test_an_impossible_start_is_refused(start, message):
    """Silently starting over would break the image in the middle of a video."""
    sampler = FakeSampler()
    with pytest.raises(ValueError, match=message):
        chained(split_segments(16, 4), sampler, start=start)
    assert not sampler.asked


def test_segments_and_seams_must_agree():
    """Else frames would be joined that do not belong together, without a word."""
    with pytest.raises(ValueError, match="segments share 1 frames, seams 3: give both the same number"):
        chained(split_segments(16, 4), seams=Seams(3))
    handover = Handover(torch.zeros(1, 3, 1, 16, 16), normal(0, 5))
    with pytest.raises(ValueError, match="starts at segment 1 with 5 shared frames: give the handover of segment 0"):
        chained(split_segments(16, 4), start=1, handover=handover)


def test_the_chain_keeps_no_segment_that_was_taken():
    """Memory does not grow with length: while one is sampled, the ones before are gone."""
    alive = weakref.WeakSet()

    def sample(frames: range, handover: Handover | None, seed: int) -> Tensor:
        assert len(alive) == 0
        return normal(0, len(frames))

    def tracked(latents: Tensor) -> Tensor:
        assert latents.shape[2] == 1, "only the image that is handed over is decoded"
        images = decode(latents)
        alive.update([latents, images])
        return images

    chain = chain_segments(split_segments(20, 4), sample, tracked, seed=0)
    while (segment := next(chain, None)) is not None:
        assert segment.handover.image.shape[2] == 1
        del segment


@given(st.integers(0, 2**64 - 1))
def test_segments_have_seeds_of_their_own(seed):
    """The first has the chain's, so that a chain of one segment is the single clip of that seed."""
    seeds = [segment_seed(seed, index) for index in range(60)]
    assert seeds[0] == seed
    assert len(set(seeds)) == len(seeds)
    torch.Generator().manual_seed(max(seeds))


def test_segment_seeds_never_change():
    """Videos resume after an update: these numbers are part of what is saved."""
    assert [segment_seed(7, index) for index in range(3)] == [7, 4042502035264064771, 17559002276220262541]


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="the seed is -1: give 0 or more"):
        segment_seed(-1, 0)


def test_segments_may_be_sampled_by_windows():
    """Long segments of overlapping windows, chained: the first frame belongs to each segment's first window."""
    first_frames = []

    def sample(frames: range, handover: Handover | None, seed: int) -> Tensor:
        x0 = normal(seed % 2**32, len(frames))

        def denoiser_for_window(window: list[int]) -> Denoiser:
            first_frames.append(handover is not None and 0 in window)
            return perfect(x0[:, :, window])

        return sample_windows(denoiser_for_window, torch.zeros_like(x0), 2, 8, 2, spacing="even", weights="tapered")

    result = list(chain_segments(split_segments(39, 20), sample, decode, seed=7))
    assert first_frames == [False, False, False, True, False, False]
    for segment in result:
        expected = normal(segment.seed % 2**32, 20)[:, :, -len(segment.new_frames) :]
        torch.testing.assert_close(segment.latents, expected, rtol=1e-6, atol=1e-6)
