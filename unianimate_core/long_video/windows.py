"""Overlapping windows: all frames are denoised together, and the network sees them as overlapping clips.

This is how the authors' released code makes long videos; the paper compares with it (UniAnimate, sections 3.2 and 5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from ..diffusion import Denoiser, Ending, StepCallback, ddim_sample

DenoiserForWindow = Callable[[list[int]], Denoiser]
Weights = Literal["flat", "tapered"]
Spacing = Literal["upstream", "even"]
WINDOW_SCHEDULES: dict[str, tuple[Spacing, Weights]] = {"even": ("even", "tapered"), "upstream": ("upstream", "flat")}
"""By name, where windows lie and how they are averaged: ours, and the authors'."""


def sample_windows(
    denoiser_for_window: DenoiserForWindow,
    noise: Tensor,
    steps: int,
    window: int = 32,
    overlap: int = 8,
    *,
    weights: Weights = "flat",
    spacing: Spacing = "upstream",
    ending: Ending = "clean",
    callback: StepCallback | None = None,
) -> Tensor:
    """ddim_sample with the predictions of overlapping windows. The defaults are the authors'.

    noise: b 4 f h w, of all frames; window, overlap: frames. The other arguments: see ddim_sample and windowed.
    """
    denoiser = windowed(denoiser_for_window, noise.shape[2], window, overlap, weights=weights, spacing=spacing)
    return ddim_sample(denoiser, noise, steps, ending=ending, callback=callback)


def windowed(
    denoiser_for_window: DenoiserForWindow,
    total: int,
    window: int = 32,
    overlap: int = 8,
    *,
    weights: Weights = "flat",
    spacing: Spacing = "upstream",
) -> Denoiser:
    """A denoiser of `total` frames: the weighted mean of the predictions of its windows, one at a time.

    denoiser_for_window: called here, once for each window, with the numbers of its frames. Each window is a clip of its
    own, with the reference in front and its slice of the poses; a first frame belongs to the window with frame 0.
    weights, spacing: see window_weights and window_ranges.
    """
    ranges = window_ranges(total, window, overlap, spacing)
    denoisers = [denoiser_for_window(list(frames)) for frames in ranges]
    shares = window_weights(ranges, weights)

    @torch.no_grad()
    def denoiser(x: Tensor, t: int) -> Tensor:
        v = torch.zeros_like(x)  # a running sum, so that only one window's prediction is held at a time
        for frames, denoise, share in zip(ranges, denoisers, shares, strict=True):
            seen = slice(frames.start, frames.stop)
            v[:, :, seen] += share.to(v)[:, None, None] * denoise(x[:, :, seen], t)
        return v

    return denoiser


def window_ranges(total: int, window: int, overlap: int, spacing: Spacing = "upstream") -> list[range]:
    """The frames of each window, first to last. If one window holds all frames, it is the only one.

    "upstream": windows of the given length, one every (window - overlap) frames; the last is moved back to end with the
    last frame, and may repeat nearly all of the one before.
    "even": as few windows as cover the frames, of equal length within a frame and at most the given one; each shares
    exactly `overlap` frames with the next. Raises ValueError if the numbers make no windows.
    """
    if total < 1:
        raise ValueError(f"there are {total} frames: give at least 1")
    if window < 1:
        raise ValueError(f"the window is {window} frames: give at least 1 (16 and 32 are what was trained)")
    if not 0 <= overlap < window:
        raise ValueError(f"the overlap is {overlap} frames, the window {window}: give an overlap of 0 to {window - 1}")
    if spacing not in ("upstream", "even"):
        raise ValueError(f"spacing is {spacing!r}: give 'upstream' or 'even'")
    if window >= total:
        return [range(total)]
    stride, strided = window - overlap, total - overlap
    if spacing == "upstream":
        starts = [min(start, total - window) for start in range(0, strided, stride)]
        return [range(start, start + window) for start in starts]
    count = -(-strided // stride)
    bounds = [index * strided // count for index in range(count + 1)]
    return [range(start, stop + overlap) for start, stop in pairwise(bounds)]


def window_weights(ranges: Sequence[range], weights: Weights = "flat") -> list[Tensor]:
    """The share of each window in each of its frames, float64: above 0, summing to one over the windows of a frame.

    "flat": the plain mean. "tapered": a window counts less towards an end where it overlaps its neighbor, so that one
    fades into the other.
    """
    if weights not in ("flat", "tapered"):
        raise ValueError(f"weights is {weights!r}: give 'flat' or 'tapered'")
    if weights == "flat":
        raw = [torch.ones(len(frames), dtype=torch.float64) for frames in ranges]
    else:
        shared = [0, *(before.stop - after.start for before, after in pairwise(ranges)), 0]
        raw = [_trapezoid(len(frames), *overlaps) for frames, overlaps in zip(ranges, pairwise(shared), strict=True)]
    total = torch.zeros(ranges[-1].stop, dtype=torch.float64)
    for frames, weight in zip(ranges, raw, strict=True):
        total[frames.start : frames.stop] += weight
    return [weight / total[frames.start : frames.stop] for frames, weight in zip(ranges, raw, strict=True)]


def _trapezoid(length: int, rise: int, fall: int) -> Tensor:
    """1, rising over the first `rise` frames and falling over the last `fall`, never to 0; two neighbors sum to 1."""
    place = torch.arange(1, length + 1, dtype=torch.float64)
    rising, falling = place / (rise + 1), (length + 1 - place) / (fall + 1)
    return torch.minimum(rising, falling).clamp(max=1)
