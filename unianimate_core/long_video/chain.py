"""Long video as a chain: each segment begins with the image that the one before ended with.

The paper's way to videos of a minute, by first-frame conditioning (UniAnimate, sections 3.2 and 5). Its baseline,
overlapping windows, is in windows.py; a segment of the chain may itself be sampled by windows.
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
    """A sampled segment of a chain; joined in order, the latents of all segments are those of the video.

    frames: all that were sampled. new_frames: those that no segment before has shown; latents, b 4 n h w, are of these
    alone. seed: what it was sampled with. handover: for the next segment; its image is that of the last new frame.
    """

    index: int
    frames: range
    new_frames: range
    seed: int
    latents: Tensor
    handover: Handover


def split_segments(total: int, length: int, shared: int = 1) -> list[range]:
    """Frames 0..total-1 as segments of `length` frames, each beginning with the last `shared` of the one before.

    The last ends with the last frame and may be shorter; it holds at least one frame that no other has.
    Raises ValueError for a length that leaves no room for a new frame, unless all frames fit into one segment.
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
    """Of each segment the frames that it shows: up to the next one's first, without what was shown before."""
    stops = [after.start + 1 for after in segments[1:]] + [segments[-1].stop]
    return [range(start, stop) for start, stop in pairwise([0, *stops])]


def segment_seed(seed: int, index: int) -> int:
    """The seed of a segment, in 0..2^64-1: the chain's own for segment 0, which so equals a single clip of that seed.

    Later ones are the first 64-bit word of numpy's SeedSequence(seed, spawn_key=(index,)), whatever the number of
    segments. seed: 0 or more.
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
    """Sample segments one after the other and yield each when it is finished; none is kept here afterwards.

    segments: of split_segments, with as many shared frames as seams says. sample(frames, handover, seed): latents of
    those frames, b 4 f h w, that begin as the handover says, or from the reference alone where it is None.
    decode: the latent of one frame, b 4 1 h w, to its image, b 3 1 H W in [0, 1]; only what is handed over is
    decoded here. What either raises ends the chain, after all that was yielded.
    seed: of the chain; segment_seed tells that of each segment. handover: an image to begin the video with.
    start: the segment to begin with; the result goes on identically where handover is then that of the segment before.
    Raises ValueError, before anything is sampled, where segments, seams and start do not fit each other.
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
