"""Long video by windows: all frames are denoised together, the network sees them in overlapping clips.

The authors' released code works so, and the paper compares with it (UniAnimate, sections 3.2 and 5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby, pairwise
from typing import Literal

import torch
from torch import Tensor

from ..diffusion import Denoiser, Ending, StepCallback, ddim_sample

DenoiserForWindow = Callable[[list[int]], Denoiser]
DenoiserForWindows = Callable[[list[list[int]]], Denoiser]
Weights = Literal["flat", "tapered"]
Spacing = Literal["upstream", "even"]


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

    noise: b 4 f h w, of all frames; window, overlap: frames; the other arguments as of ddim_sample and windowed.
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

    denoiser_for_window: called once for each window, here, with the numbers of its frames. Each window is a clip of
    its own, with the reference in front and its slice of the poses; a first frame belongs to the one with frame 0.
    weights, spacing: as of window_weights and window_ranges.
    """
    ranges = window_ranges(total, window, overlap, spacing)
    denoisers = [denoiser_for_window(list(frames)) for frames in ranges]
    return _weighted_mean([([frames], denoiser) for frames, denoiser in zip(ranges, denoisers, strict=True)], weights)


def windowed_in_batches(
    denoiser_for_windows: DenoiserForWindows,
    total: int,
    window: int = 32,
    overlap: int = 8,
    *,
    at_once: int,
    weights: Weights = "flat",
    spacing: Spacing = "upstream",
) -> Denoiser:
    """As windowed, with up to at_once windows of equal length in one pass, and fewer where memory runs out.

    denoiser_for_windows: called once for each batch with the frames of its windows; its denoiser takes these windows
    one after the other along the batch, (windows b) 4 f h w. Where torch.OutOfMemoryError is raised, the batch is
    halved, for all later steps too; for a single window it is raised on. A clip with a first frame takes windowed: it
    cannot be given to one window of a batch alone.
    """
    if at_once < 1:
        raise ValueError(f"at_once is {at_once}: give at least 1 window")

    def batch(group: list[range]) -> Batch:
        return group, denoiser_for_windows([list(frames) for frames in group])

    groups = _of_equal_length(window_ranges(total, window, overlap, spacing), at_once)
    return _weighted_mean([batch(group) for group in groups], weights, batch)


Batch = tuple[list[range], Denoiser]


def _weighted_mean(
    batches: list[Batch], weights: Weights, prepare: Callable[[list[range]], Batch] | None = None
) -> Denoiser:
    """A denoiser of all frames. prepare: of a part of a batch, for when a whole one finds no room."""
    ranges = sorted((frames for group, _ in batches for frames in group), key=lambda frames: frames.start)
    shares = dict(zip(ranges, window_weights(ranges, weights), strict=True))

    @torch.no_grad()
    def denoiser(x: Tensor, t: int) -> Tensor:
        v = torch.zeros_like(x)  # a running sum: only one batch's prediction is held at a time
        index = 0
        while index < len(batches):
            group, denoise = batches[index]
            predictions = _predict(denoise, x, t, group, may_fail=prepare is not None and len(group) > 1)
            if predictions is None:
                assert prepare is not None
                middle = (len(group) + 1) // 2
                batches[index : index + 1] = [prepare(group[:middle]), prepare(group[middle:])]
                continue
            for frames, prediction in zip(group, predictions.chunk(len(group)), strict=True):
                v[:, :, frames.start : frames.stop] += shares[frames].to(v)[:, None, None] * prediction
            del predictions, prediction
            index += 1
        return v

    return denoiser


def _predict(denoise: Denoiser, x: Tensor, t: int, group: list[range], *, may_fail: bool) -> Tensor | None:
    """The predictions of a batch, (windows b) 4 f h w; None where memory ran out and that may be.

    A function of its own, so that what the failed pass had made is gone when it returns.
    """
    try:
        return denoise(torch.cat([x[:, :, frames.start : frames.stop] for frames in group]), t)
    except torch.OutOfMemoryError:
        if not may_fail:
            raise
        return None


def _of_equal_length(ranges: list[range], at_once: int) -> list[list[range]]:
    """Windows of the same length together, up to at_once."""
    by_length = sorted(ranges, key=len, reverse=True)
    groups = [list(group) for _, group in groupby(by_length, key=len)]
    return [group[start : start + at_once] for group in groups for start in range(0, len(group), at_once)]


def window_ranges(total: int, window: int, overlap: int, spacing: Spacing = "upstream") -> list[range]:
    """The frames of each window, first to last; one window where it holds all frames.

    "upstream": all of the asked length, at every (window - overlap) frames, the last moved back to end at the last
    frame, so that it may repeat nearly all of the one before.
    "even": as few as cover the frames, of one length (give or take a frame) and no longer than asked, each sharing
    exactly `overlap` frames with the next. Raises ValueError where a number makes no windows.
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
    """The share of each window in each of its frames: above 0, and summing to one over the windows of a frame. fp64.

    "flat": the plain mean. "tapered": a window counts less towards an end where it overlaps its neighbor, so that
    one passes into the other without a jump.
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
    """1, but rising over the first `rise` frames and falling over the last `fall`, never to 0: two of them sum to 1."""
    place = torch.arange(1, length + 1, dtype=torch.float64)
    rising, falling = place / (rise + 1), (length + 1 - place) / (fall + 1)
    return torch.minimum(rising, falling).clamp(max=1)
