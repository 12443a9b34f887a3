"""A chain of segments: each begins with the last frame of the segment before.

This is how the paper reaches videos of a minute, by first-frame conditioning (UniAnimate, sections 3.2 and 5). Its
baseline, overlapping windows, is in windows.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from torch import Tensor

from .seams import PAPERS, Handover, Seams, as_stored, join

SampleSegment = Callable[[range, Handover | None, int], Tensor]
DecodeFrame = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Segment:
    """A sampled segment. The latents of all segments, in order, are those of the video.

    frames: all frames that were sampled. new_frames: those that no earlier segment shows. seed: its own.
    latents: b 4 n h w, of the new frames. handover: for the next segment; its image is the last new frame.
    """

    index: int
    frames: range
    new_frames: range
    seed: int
    latents: Tensor
    handover: Handover


def split_segments(total: int, length: int, shared: int = 1) -> list[range]:
    """Frames 0..total-1 as segments of `length` frames that each begin with the last `shared` frames of the one before.

    The last segment may be shorter, and has at least one frame that no other has.
    Raises ValueError if the length leaves no room for a new frame, unless all frames fit into one segment.
    """
    if total < 1:
        raise ValueError(f"there are {total} frames: give at least 1")
    if shared < 1:
        raise ValueError(f"segments share {shared} frames: give at least 1, the frame a segment begins with")
    if length < 1 or (length < total and length <= shared):
        need = min(total, shared + 1)
        raise ValueError(
            f"the segment length is {length} for {total} frames: give at least {need}, as segments share {shared}"
        )
    if length >= total:
        return [range(total)]
    return [range(start, min(start + length, total)) for start in range(0, total - shared, length - shared)]


def new_frames(segments: Sequence[range]) -> list[range]:
    """The frames that each segment shows: those up to the first of the next, without what an earlier one shows."""
    stops = [after.start + 1 for after in segments[1:]] + [segments[-1].stop]
    return [range(start, stop) for start, stop in pairwise([0, *stops])]


def segment_seed(seed: int, index: int) -> int:
    """The seed of a segment, in 0..2^64-1. Segment 0 has the chain's own, and so equals a single clip of that seed.

    A later one has the first 64-bit word of numpy's SeedSequence(seed, spawn_key=(index,)), however many segments
    there are. seed: 0 or more.
    """
    if seed < 0:
        raise ValueError(f"the seed is {seed}: give 0 or more")
    if index == 0:
        return seed
    return int(np.random.SeedSequence(seed, spawn_key=(index,)).generate_state(1, np.uint64)[0])


def chain_segments(
    segments: Sequence[range],
    sample: SampleSegment,
    decode: DecodeFrame,
    *,
    seed: int,
    seams: Seams = PAPERS,
    handover: Handover | None = None,
    start: int = 0,
) -> Iterator[Segment]:
    """Sample segments one after another and yield each when it is finished. None is kept here afterwards.

    segments: see split_segments; they share as many frames as seams says.
    sample(frames, handover, seed): the latents of these frames, b 4 f h w, which begin with the handover, or follow the
    reference alone if it is None. decode: the latent of one frame, b 4 1 h w, to its image, b 3 1 H W in [0, 1]; only
    frames that are handed over are decoded here. An exception in either ends the chain.
    seed: of the chain; see segment_seed. handover: an image for the video to begin with.
    start: the segment to begin with; with the handover of the segment before, the result is identical.
    Raises ValueError, before anything is sampled, if segments, seams and start do not fit each other.
    """
    _check_chain(segments, seams, handover, start)
    shown = new_frames(segments)
    for index in range(start, len(segments)):
        frames, own_seed = segments[index], segment_seed(seed, index)
        latents = sample(frames, handover, own_seed)
        assert latents.shape[2] == len(frames), "one latent for each frame"
        if index and handover is not None and handover.latents is not None:
            latents = join(latents, handover.latents, seams)
        new = as_stored(latents[:, :, shown[index].start - frames.start : shown[index].stop - frames.start])
        handover = Handover(decode(new[:, :, -1:]), latents[:, :, shown[index].stop - 1 - frames.start :])
        segment = Segment(index, frames, shown[index], own_seed, new, handover)
        del latents, new
        yield segment
        del segment  # or it would stay in memory while the next is sampled


def _check_chain(segments: Sequence[range], seams: Seams, handover: Handover | None, start: int) -> None:
    for before, after in pairwise(segments):
        if (shared := before.stop - after.start) != seams.shared_frames:
            raise ValueError(f"segments share {shared} frames, seams {seams.shared_frames}: give both the same number")
    if not 0 <= start <= len(segments):
        raise ValueError(f"the chain starts at segment {start} of {len(segments)}: give 0 to {len(segments)}")
    if 0 < start < len(segments):
        shared = 0 if handover is None or handover.latents is None else handover.latents.shape[2]
        if shared != seams.shared_frames:
            raise ValueError(
                f"the chain starts at segment {start} with {shared} shared frames: give the handover of segment "
                f"{start - 1}, which has {seams.shared_frames}"
            )
