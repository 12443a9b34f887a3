"""Bootstrap intervals over videos."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from tests.support.examples import examples
from unianimate_core.evaluation.bootstrap import Estimate, centered_estimate, finite_mean, mean_estimate

values = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20)


def test_the_interval_is_that_of_the_central_limit_theorem():
    """For many videos: 1.96 standard errors to either side."""
    numbers = np.random.default_rng(0).normal(25, 3, size=400)
    estimate = mean_estimate(numbers, draws=4000)
    half = norm.ppf(0.975) * numbers.std() / math.sqrt(len(numbers))
    assert estimate.value == pytest.approx(numbers.mean(), rel=1e-12)
    assert estimate.low == pytest.approx(numbers.mean() - half, abs=0.05 * half)
    assert estimate.high == pytest.approx(numbers.mean() + half, abs=0.05 * half)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """200 experiments of 50 videos; a correct interval misses 5 % of them, give or take 3 %."""
    generator = np.random.default_rng(1)
    experiments = [mean_estimate(generator.exponential(2, size=50), draws=300) for _ in range(200)]
    held = np.mean([estimate.low <= 2 <= estimate.high for estimate in experiments])
    assert 0.88 <= held <= 0.98


@examples(25)
@given(values, st.integers(0, 2**32))
def test_the_same_seed_gives_the_same_interval_around_the_mean(numbers, seed):
    estimate = mean_estimate(numbers, seed=seed, draws=200)
    assert estimate == mean_estimate(numbers, seed=seed, draws=200)
    assert min(numbers) - 1e-9 <= estimate.low <= estimate.high <= max(numbers) + 1e-9


def test_another_seed_draws_other_videos():
    numbers = np.arange(10.0)
    assert mean_estimate(numbers, seed=0, draws=50) != mean_estimate(numbers, seed=1, draws=50)


def test_identical_videos_are_left_out_of_the_mean_and_counted():
    """Their PSNR is infinite. One of them would hide all others."""
    estimate = mean_estimate([20.0, math.inf, 30.0])
    assert (estimate.value, estimate.videos, estimate.infinite) == (25.0, 3, 1)
    assert 20 <= estimate.low <= estimate.high <= 30
    assert estimate.shown(1) == "25.0 [20.0, 30.0] (1 of 3 identical)"


def test_the_mean_of_identical_videos_alone_is_infinite():
    estimate = mean_estimate([math.inf, math.inf])
    assert (estimate.value, estimate.infinite) == (math.inf, 2)
    assert estimate.shown(2) == "inf (2 of 2 identical)"


def test_one_video_has_no_interval():
    """An interval of width 0 would claim certainty."""
    estimate = mean_estimate([3.25])
    assert estimate.value == 3.25
    assert math.isnan(estimate.low)
    assert math.isnan(estimate.high)
    assert estimate.shown(1) == "3.2"


def test_the_mean_skips_infinite_values():
    assert finite_mean([1.0, 2.0, math.inf]) == 1.5
    assert finite_mean([math.inf]) == math.inf


def test_a_centered_interval_lies_around_the_number_itself():
    """Resampling never raises the maximum, so plain percentiles would lie below it."""
    numbers = np.random.default_rng(0).normal(size=30)
    estimate = centered_estimate(lambda videos: float(numbers[videos].max()), 30)
    assert estimate.value == numbers.max()
    assert estimate.low < estimate.value < estimate.high


def test_a_centered_interval_of_a_mean_is_nearly_the_plain_one():
    numbers = np.random.default_rng(0).normal(size=40)
    centered = centered_estimate(lambda videos: float(numbers[videos].mean()), 40)
    plain = mean_estimate(numbers)
    assert (centered.low, centered.high) == pytest.approx((plain.low, plain.high), abs=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"draws": 0}, "draws is 0: give at least 1"), ({"level": 95}, "the level is 95: give more than 0")],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        mean_estimate([1.0, 2.0], **options)


def test_an_estimate_is_shown_with_its_interval():
    assert Estimate(25.123, 24.0, 26.987, 50).shown(2) == "25.12 [24.00, 26.99]"
