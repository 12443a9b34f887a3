"""Windows and chains: what must hold for any denoiser, any sampler and any number of frames."""

from __future__ import annotations

import weakref
from collections import Counter
from itertools import pairwise

import pytest
import torch
from einops import rearrange
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from unianimate_core.diffusion import Denoiser, NoiseSchedule, ddim_sample, ddim_timesteps
from unianimate_core.long_video import (
    Segment,
    chain_segments,
    sample_windows,
    segment_seed,
    split_segments,
    window_ranges,
    windowed,
)
from unianimate_core.windows import window_weights

SPACINGS = ("upstream", "even")
WEIGHTS = ("flat", "tapered")
spacings, weightings = st.sampled_from(SPACINGS), st.sampled_from(WEIGHTS)
totals = st.integers(1, 200)


@st.composite
def window_sizes(draw) -> tuple[int, int]:
    """(window, overlap), from no overlap to all but one frame."""
    window = draw(st.integers(1, 48))
    return window, draw(st.integers(0, window - 1))


def normal(seed: int, frames: int) -> Tensor:
    return torch.randn((1, 4, frames, 2, 2), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(totals, window_sizes(), spacings)
def test_windows_cover_every_frame(total, sizes, spacing):
    """In order, none longer than asked, each with the asked overlap at least: a frame left out would stay noise."""
    window, overlap = sizes
    ranges = window_ranges(total, window, overlap, spacing)
    assert set().union(*ranges) == set(range(total))
    assert max(len(frames) for frames in ranges) <= window
    for before, after in pairwise(ranges):
        assert before.start < after.start
        assert before.stop - after.start >= overlap


@given(totals, window_sizes())
def test_even_windows_do_no_more_work_than_the_overlap_requires(total, sizes):
    """As few windows as can be, all of a length, and no frame twice but those that neighbours were asked to share."""
    window, overlap = sizes
    ranges = window_ranges(total, window, overlap, "even")
    lengths = [len(frames) for frames in ranges]
    assert len(ranges) == len(window_ranges(total, window, overlap, "upstream"))
    assert max(lengths) - min(lengths) <= 1
    assert sum(lengths) == total + (len(ranges) - 1) * overlap


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        ("upstream", [range(32), range(1, 33)]),
        ("even", [range(20), range(12, 33)]),
    ],
)
def test_one_frame_too_many_is_two_windows(spacing, expected):
    """The authors' second window repeats the first; evenly, each frame but the shared eight is computed once."""
    assert window_ranges(33, 32, 8, spacing) == expected


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("total", [1, 31, 32])
def test_a_short_clip_is_one_window(spacing, total):
    assert window_ranges(total, 32, 8, spacing) == [range(total)]


@given(totals, window_sizes(), spacings, weightings)
def test_weights_sum_to_one(total, sizes, spacing, weights):
    """In every frame, and no window counts for nothing: else the result is too pale, or work was wasted."""
    window, overlap = sizes
    ranges = window_ranges(total, window, overlap, spacing)
    shares = window_weights(ranges, weights)
    sums = torch.zeros(total, dtype=torch.float64)
    for frames, share in zip(ranges, shares, strict=True):
        assert (share > 0).all()
        sums[frames.start : frames.stop] += share
    torch.testing.assert_close(sums, torch.ones_like(sums))


def test_flat_weights_are_the_plain_mean():
    """Over frames that three windows share, too, as the authors' last window makes them."""
    ranges = window_ranges(21, 8, 2)
    holding = Counter(frame for frames in ranges for frame in frames)
    for frames, share in zip(ranges, window_weights(ranges, "flat"), strict=True):
        assert share.tolist() == [1 / holding[frame] for frame in frames]


def test_tapered_weights_pass_from_one_window_to_the_next():
    """Full weight where there is no neighbour, at the clip's ends too; evenly falling where there is one."""
    first, second = window_weights([range(7), range(4, 10)], "tapered")
    torch.testing.assert_close(first, torch.tensor([1, 1, 1, 1, 0.75, 0.5, 0.25], dtype=torch.float64))
    torch.testing.assert_close(second, torch.tensor([0.25, 0.5, 0.75, 1, 1, 1], dtype=torch.float64))


@pytest.mark.parametrize(
    ("total", "window", "overlap", "message"),
    [
        (0, 32, 8, "there are 0 frames: give at least 1"),
        (100, 0, 0, "the window is 0 frames: give at least 1"),
        (100, 8, 8, "the overlap is 8 frames, the window 8: give an overlap of 0 to 7"),
        (5, 8, 9, "the overlap is 9 frames, the window 8: give an overlap of 0 to 7"),
        (100, 8, -1, "the overlap is -1 frames, the window 8: give an overlap of 0 to 7"),
    ],
)
def test_impossible_windows_are_refused(total, window, overlap, message):
    with pytest.raises(ValueError, match=message):
        window_ranges(total, window, overlap)


def test_unknown_choices_are_refused():
    with pytest.raises(ValueError, match="spacing is 'wide': give 'upstream' or 'even'"):
        window_ranges(20, 8, 2, "wide")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="weights is 'round': give 'flat' or 'tapered'"):
        window_weights([range(8)], "round")  # pyright: ignore[reportArgumentType]


def perfect(x0: Tensor) -> Denoiser:
    """Knows the pictures of a window and says their v."""

    def denoiser(x: Tensor, t: int) -> Tensor:
        alpha_bar = float(NoiseSchedule().alpha_bar[t])
        return (alpha_bar**0.5 * x - x0) / (1 - alpha_bar) ** 0.5

    return denoiser


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 40), window_sizes(), spacings, weightings)
def test_windows_that_agree_give_what_all_frames_at_once_give(total, sizes, spacing, weights):
    """Each window gets the frames it was told of, and its prediction goes back to the same ones."""
    x0 = normal(0, total)
    result = sample_windows(
        lambda frames: perfect(x0[:, :, frames]), normal(1, total), 3, *sizes, weights=weights, spacing=spacing
    )
    torch.testing.assert_close(result, x0, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("ending", ["clean", "upstream"])
def test_one_window_is_the_plain_sampler_to_the_bit(ending):
    noise = normal(1, 5)
    denoiser = perfect(normal(0, 5))
    assert torch.equal(
        sample_windows(lambda _: denoiser, noise, 4, ending=ending), ddim_sample(denoiser, noise, 4, ending=ending)
    )


def test_windows_are_prepared_once_and_asked_once_a_step():
    """Conditions are embedded when a window is prepared; the callback sees all frames and can stop the run."""
    prepared, asked, seen = [], [], []

    def denoiser_for_window(frames: list[int]) -> Denoiser:
        prepared.append(frames)

        def denoiser(x: Tensor, t: int) -> Tensor:
            asked.append((frames[0], t))
            return x

        return denoiser

    class Interrupted(Exception):
        pass

    def callback(step: int, steps: int, x0: Tensor) -> None:
        seen.append((step, steps, x0.shape[2]))
        if step == 1:
            raise Interrupted

    with pytest.raises(Interrupted):
        sample_windows(denoiser_for_window, normal(0, 20), 10, 8, 2, callback=callback)
    assert prepared == [list(range(8)), list(range(6, 14)), list(range(12, 20))]
    assert asked == [(start, t) for t in ddim_timesteps(10)[:2] for start in (0, 6, 12)]
    assert seen == [(0, 10, 20), (1, 10, 20)]


def test_one_prediction_is_held_at_a_time():
    """A minute has 75 windows: a stack of their predictions would be larger than the video's latents."""
    alive = weakref.WeakSet()

    def denoiser(x: Tensor, t: int) -> Tensor:
        assert len(alive) == 0, "the prediction of the window before is still there"
        prediction = x.clone()
        alive.add(prediction)
        return prediction

    windowed(lambda _: denoiser, 100, 8, 2)(normal(0, 100), 500)


@given(totals, st.integers(2, 60))
def test_segments_share_one_frame_and_cover_all(total, length):
    """All of the asked length but the last, which is not moved back and never only repeats the shared frame."""
    segments = split_segments(total, length)
    assert segments[0].start == 0
    assert segments[-1].stop == total
    for before, after in pairwise(segments):
        assert len(before) == length
        assert after.start == before.stop - 1
        assert 2 <= len(after) <= length


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


@pytest.mark.parametrize(
    ("total", "length", "message"),
    [
        (0, 32, "there are 0 frames: give at least 1"),
        (2, 1, "the segment length is 1 for 2 frames: give at least 2"),
        (100, 0, "the segment length is 0 for 100 frames: give at least 2"),
        (1, 0, "the segment length is 0 for 1 frames: give at least 1"),
    ],
)
def test_impossible_segments_are_refused(total, length, message):
    with pytest.raises(ValueError, match=message):
        split_segments(total, length)


class FakeSampler:
    """Latents that follow from all that a segment may depend on; remembers what it was asked."""

    def __init__(self, stop_at: int | None = None):
        self.stop_at = stop_at
        self.asked: list[tuple[range, Tensor | None, int]] = []

    def __call__(self, frames: range, first_frame: Tensor | None, seed: int) -> Tensor:
        if frames.start == self.stop_at:
            raise KeyboardInterrupt
        self.asked.append((frames, first_frame, seed))
        before = 0 if first_frame is None else float(first_frame.mean())
        return normal(seed % 2**32, len(frames)) + before


def decode(latents: Tensor) -> Tensor:
    """Pictures that tell which latents they came from."""
    return latents[:, :3].repeat_interleave(8, -1).repeat_interleave(8, -2).sigmoid()


def chained(segments: list[range], sampler: FakeSampler | None = None, seed: int = 7, **start) -> list[Segment]:
    return list(chain_segments(segments, sampler or FakeSampler(), decode, seed=seed, **start))


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 30), st.integers(2, 9))
def test_a_chain_shows_each_frame_once(total, length):
    """The shared frame is the earlier segment's; what stays of each segment is what it added."""
    result = chained(split_segments(total, length))
    assert [frame for segment in result for frame in segment.new_frames] == list(range(total))
    for segment in result:
        assert segment.latents.shape[2] == len(segment.frames)
        assert segment.new_latents.shape[2] == segment.pictures.shape[2] == len(segment.new_frames)
        assert torch.equal(segment.pictures, decode(segment.new_latents))


def test_a_segment_begins_with_the_last_picture_of_the_one_before():
    """Decoded: first-frame conditioning takes a picture. The first segment has the reference alone."""
    sampler = FakeSampler()
    result = chained(split_segments(10, 4), sampler)
    assert [frames for frames, _, _ in sampler.asked] == [range(4), range(3, 7), range(6, 10)]
    assert sampler.asked[0][1] is None
    for before, (_, first_frame, _) in zip(result, sampler.asked[1:], strict=False):
        assert first_frame is not None
        assert torch.equal(first_frame, decode(before.latents)[:, :, -1:])


def test_a_chain_can_begin_with_a_picture():
    """A first frame of the user's belongs to the first segment, whose own frame 0 is shown."""
    sampler = FakeSampler()
    picture = torch.full((1, 3, 1, 16, 16), 0.5)
    result = chained([range(4)], sampler, first_frame=picture)
    given = sampler.asked[0][1]
    assert given is not None
    assert torch.equal(given, picture)
    assert result[0].new_frames == range(4)


def test_what_was_yielded_survives_an_interruption():
    """Nothing finished is lost, and nothing is sampled before it is asked for."""
    finished = []
    chain = chain_segments(split_segments(13, 4), FakeSampler(stop_at=6), decode, seed=7)
    with pytest.raises(KeyboardInterrupt):
        for segment in chain:
            finished.append(segment.index)
    assert finished == [0, 1]


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**64 - 1), st.integers(1, 5))
def test_a_resumed_chain_goes_on_identically(seed, start):
    """From the last picture before the gap, to the bit, and without sampling what is there already.

    Read from a file the picture may lie otherwise in memory; the mean that the sampler takes would differ by a bit.
    """
    segments = split_segments(16, 4)
    whole = chained(segments, seed=seed)
    stored = rearrange(whole[start - 1].last_picture, "b c f h w -> b f h w c").contiguous()
    sampler = FakeSampler()
    picture = rearrange(stored, "b f h w c -> b c f h w")
    rest = chained(segments, sampler, seed=seed, start=start, first_frame=picture)
    assert [frames for frames, _, _ in sampler.asked] == segments[start:]
    for again, before in zip(rest, whole[start:], strict=True):
        assert (again.index, again.frames, again.seed) == (before.index, before.frames, before.seed)
        assert torch.equal(again.latents, before.latents)
        assert torch.equal(again.pictures, before.pictures)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (-1, "the chain starts at segment -1 of 5: give 0 to 5"),
        (6, "the chain starts at segment 6 of 5: give 0 to 5"),
        (2, "the chain starts at segment 2 without a first frame: give segment 1's last"),
    ],
)
def test_an_impossible_start_is_refused(start, message):
    """Silently starting over would break the picture in the middle of a video."""
    sampler = FakeSampler()
    with pytest.raises(ValueError, match=message):
        chained(split_segments(16, 4), sampler, start=start)
    assert not sampler.asked


def test_the_chain_keeps_no_segment_that_was_taken():
    """Memory does not grow with length: while one is sampled, the ones before are gone."""
    alive = weakref.WeakSet()

    def sample(frames: range, first_frame: Tensor | None, seed: int) -> Tensor:
        assert len(alive) == 0
        return normal(0, len(frames))

    def tracked(latents: Tensor) -> Tensor:
        pictures = decode(latents)
        alive.update([latents, pictures])
        return pictures

    chain = chain_segments(split_segments(20, 4), sample, tracked, seed=0)
    while (segment := next(chain, None)) is not None:
        assert segment.last_picture.shape[2] == 1
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

    def sample(frames: range, first_frame: Tensor | None, seed: int) -> Tensor:
        x0 = normal(seed % 2**32, len(frames))

        def denoiser_for_window(window: list[int]) -> Denoiser:
            first_frames.append(first_frame is not None and 0 in window)
            return perfect(x0[:, :, window])

        return sample_windows(denoiser_for_window, torch.zeros_like(x0), 2, 8, 2, spacing="even", weights="tapered")

    result = list(chain_segments(split_segments(39, 20), sample, decode, seed=7))
    assert first_frames == [False, False, False, True, False, False]
    for segment in result:
        torch.testing.assert_close(segment.latents, normal(segment.seed % 2**32, 20), rtol=1e-6, atol=1e-6)
