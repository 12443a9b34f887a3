"""How sure a mean over videos is: intervals by drawing the videos anew, with replacement.

Videos are drawn, never frames: the frames of one video resemble each other. Source: Efron & Tibshirani 1993.
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
    """A number and the interval that holds it with the level's probability; low and high are nan for one video.

    infinite: how many of the videos (identical ones, in PSNR) are left out because their number is infinite.
    """

    value: float
    low: float
    high: float
    videos: int
    infinite: int = 0

    def shown(self, digits: int) -> str:
        """For tables: value [low, high], and beside it how many videos were identical."""
        text = f"{self.value:.{digits}f}"
        if not math.isnan(self.low) and math.isfinite(self.value):
            text += f" [{self.low:.{digits}f}, {self.high:.{digits}f}]"
        return f"{text} ({self.infinite} of {self.videos} identical)" if self.infinite else text


def finite_mean(values: Sequence[float] | np.ndarray) -> float:
    """The mean of what is finite, infinite where nothing is.

    PSNR is infinite where images are identical. One such frame would hide all others, so it is left out.
    """
    values = np.asarray(values, dtype=np.float64)
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else math.inf


def mean_estimate(
    values: Sequence[float] | np.ndarray, *, seed: int = 0, draws: int = DRAWS, level: float = LEVEL
) -> Estimate:
    """The mean over videos of one number each, with its percentile interval; infinite ones are left out and counted.

    For how much one method differs from another on the same videos, give the differences.
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
    """A number that is no mean, with an interval as wide as the bootstrap's, placed around the number itself.

    statistic: of the videos with these indices. A distance of distributions grows where videos are drawn twice; the
    plain percentiles would lie above it. Here the drawn values' own mean is taken off first.
    """
    value = statistic(np.arange(videos))
    if videos < 2:
        return Estimate(value, math.nan, math.nan, videos)
    drawn = np.array([statistic(indices) for indices in _drawn(videos, seed, draws)])
    low, high = _quantiles(drawn - drawn.mean(), level)
    return Estimate(value, value + low, value + high, videos)


def _drawn(videos: int, seed: int, draws: int) -> np.ndarray:
    """Indices of videos, (draws, videos): the same for the same seed, on any machine."""
    if draws < 1:
        raise ValueError(f"{draws} bootstrap draws were asked for: give at least 1, {DRAWS} for two good digits")
    return np.random.default_rng(seed).integers(videos, size=(draws, videos))


def _quantiles(drawn: np.ndarray, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise ValueError(f"the level is {level}: give more than 0 and less than 1, 0.95 is usual")
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
