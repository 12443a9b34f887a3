"""Overlapping windows over all frames of a long video, by ComfyUI's own context windows."""

from __future__ import annotations

import functools

import comfy.context_windows

from ...unianimate_core.long_video.windows import WINDOW_SCHEDULES, window_ranges, window_weights


def with_windows(model, frames: int, length: int, overlap: int, schedule: str):
    """The MODEL with context windows of a schedule. Raises ValueError if the numbers make no windows."""
    windows = comfy.context_windows
    spacing, weights = WINDOW_SCHEDULES[schedule]
    ranges = window_ranges(frames, length, overlap, spacing)
    handler = windows.IndexListContextHandler(
        context_schedule=windows.ContextSchedule(schedule, functools.partial(_schedule, [list(own) for own in ranges])),
        fuse_method=_tapered(ranges) if weights == "tapered" else windows.get_matching_fuse_method(weights),
        context_length=length,
        context_overlap=overlap,
        dim=0,
    )
    handler.causal_window_fix = False  # each window is a clip of its own; older ComfyUI has no such switch
    model = model.clone()
    model.model_options["context_handler"] = handler
    windows.create_prepare_sampling_wrapper(model)
    return model


def _schedule(ranges: list[list[int]], frames: int, handler, model_options) -> list[list[int]]:
    return ranges


def _tapered(ranges: list[range]) -> comfy.context_windows.ContextFuseMethod:
    shares = zip(ranges, window_weights(ranges, "tapered"), strict=True)
    by_start = {own.start: share.tolist() for own, share in shares}
    return comfy.context_windows.ContextFuseMethod("tapered", functools.partial(_weights, by_start))


def _weights(shares: dict[int, list[float]], length: int, *, idxs: list[int], **_) -> list[float]:
    return shares[idxs[0]]
