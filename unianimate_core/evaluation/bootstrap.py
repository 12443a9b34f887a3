"""Bootstrap confidence intervals of statistics over videos.

Whole videos are resampled, never frames, since the frames of one video are correlated.
Source: Efron & Tibshirani 1993.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number and its confidence interval. low and high are nan for a single video.

    infinite: number of videos that are left out because their value is infinite (identical ones, in PSNR).
    """

    value: float
    low: float
    high: float
    videos: int
    infinite: int = 0

    def shown(self, digits: int) -> str:
        """For tables: value [low, high], and the number of identical videos."""
        text = f"{self.value:.{digits}f}"
        if not math.isnan(self.low) and math.isfinite(self.value):
            text += f" [{self.low:.{digits}f}, {self.high:.{digits}f}]"
        return f"{text} ({self.infinite} of {self.videos} identical)" if self.infinite else text


def finite_mean(values: Sequence[float] | np.ndarray) -> float:
    """The mean of the finite values. Infinite if there are none.

    The PSNR of identical images is infinite. One such frame would hide all others, so it is left out.
    """
    values = np.asarray(values, dtype=np.float64)
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else math.inf


def mean_estimate(
    values: Sequence[float] | np.ndarray, *, seed: int = 0, draws: int = DRAWS, level: float = LEVEL
) -> Estimate:
    """The mean over videos, with its percentile interval. values: one number per video.

    Infinite values are left out and counted. To compare two methods on the same videos, give the differences.
    """
    values = np.asarray(values, dtype=np.float64)
    finite = values[np.isfinite(values)]
    if len(finite) < 2:
        return Estimate(finite_mean(values), math.nan, math.nan, len(values), len(values) - len(finite))
    means = finite[_drawn(len(finite), seed, draws)].mean(axis=1)
    low, high = _quantiles(means, level)
    return Estimate(float(finite.mean()), low, high, len(values), len(values) - len(finite))


def centered_estimate(
    statistic: Callable[[np.ndarray], float], videos: int, *, seed: int = 0, draws: int = DRAWS, level: float = LEVEL
) -> Estimate:
    """A statistic other than a mean, with a bootstrap interval centered on its value.

    statistic: its value for the videos with these indices. A distance between distributions grows when videos are
    drawn twice, so plain percentiles would lie above it. The mean of the drawn values is subtracted first.
    """
    value = statistic(np.arange(videos))
    if videos < 2:
        return Estimate(value, math.nan, math.nan, videos)
    drawn = np.array([statistic(indices) for indices in _drawn(videos, seed, draws)])
    low, high = _quantiles(drawn - drawn.mean(), level)
    return Estimate(value, value + low, value + high, videos)


def _drawn(videos: int, seed: int, draws: int) -> np.ndarray:
    """Indices of videos, (draws, videos). The same seed gives the same indices on any machine."""
    if draws < 1:
        raise ValueError(f"draws is {draws}: give at least 1, {DRAWS} for two good digits")
    return np.random.default_rng(seed).integers(videos, size=(draws, videos))


def _quantiles(drawn: np.ndarray, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise ValueError(f"the level is {level}: give more than 0 and less than 1, 0.95 is usual")
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
