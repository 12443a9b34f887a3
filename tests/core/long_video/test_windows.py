"""Windows over all frames: what must hold for any denoiser and any number of frames."""

from __future__ import annotations

import weakref
from collections import Counter
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.support.examples import examples
from unianimate_core.diffusion import Denoiser, NoiseSchedule, ddim_sample, ddim_timesteps
from unianimate_core.long_video.windows import (
    sample_windows,
    window_ranges,
    window_weights,
    windowed,
)

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
    """As few windows as can be, all of a length, and no frame twice but those that neighbors were asked to share."""
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
    """Full weight where there is no neighbor, at the clip's ends too; evenly falling where there is one."""
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
    """Knows the images of a window and says their v."""

    def denoiser(x: Tensor, t: int) -> Tensor:
        alpha_bar = float(NoiseSchedule().alpha_bar[t])
        return (alpha_bar**0.5 * x - x0) / (1 - alpha_bar) ** 0.5

    return denoiser


@examples(25)
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
