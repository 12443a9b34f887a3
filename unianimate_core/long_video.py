"""Long video as a chain: each segment begins with the picture that the one before ended with.

The paper's way to videos of a minute, by first-frame conditioning (UniAnimate, sections 3.2 and 5). Its baseline,
overlapping windows, is in windows.py; a segment of the chain may itself be sampled by windows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .windows import sample_windows, window_ranges, windowed

__all__ = ["Segment", "chain_segments", "sample_windows", "segment_seed", "split_segments", "window_ranges", "windowed"]

SampleSegment = Callable[[range, Tensor | None, int], Tensor]
DecodeSegment = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Segment:
    """A finished segment of a chain; joined in order, the pictures of all segments are the video.

    frames: all that were sampled; from index 1 on, the first is the last of the segment before.
    latents: b 4 f h w, of all frames; pictures: b 3 n H W, of new_frames alone. seed: what it was sampled with.
    """

    index: int
    frames: range
    seed: int
    latents: Tensor
    pictures: Tensor

    @property
    def shared(self) -> int:
        """How many of the frames the segment before has shown already: 0 for the first segment, then 1."""
        return min(self.index, 1)

    @property
    def new_frames(self) -> range:
        return self.frames[self.shared :]

    @property
    def new_latents(self) -> Tensor:
        """The latents of new_frames: b 4 n h w."""
        return self.latents[:, :, self.shared :]

    @property
    def last_picture(self) -> Tensor:
        """What the next segment begins with, as a copy: b 3 1 H W."""
        return _copy(self.pictures[:, :, -1:])


def split_segments(total: int, length: int) -> list[range]:
    """Frames 0..total-1 as segments of `length` frames, each beginning with the last frame of the one before.

    The last ends with the last frame and may be shorter; it holds at least one frame that no other has.
    Raises ValueError for a length of 1, which leaves no room for a new frame, unless there is just one frame.
    """
    if total < 1:
        raise ValueError(f"there are {total} frames: give at least 1")
    shortest = min(total, 2)
    if length < shortest:
        raise ValueError(
            f"the segment length is {length} for {total} frames: give at least {shortest}, as segments share one frame"
        )
    if total == 1:
        return [range(1)]
    return [range(start, min(start + length, total)) for start in range(0, total - 1, length - 1)]


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
    decode: DecodeSegment,
    *,
    seed: int,
    first_frame: Tensor | None = None,
    start: int = 0,
) -> Iterator[Segment]:
    """Sample segments one after the other and yield each when it is finished; none is kept here afterwards.

    segments: of split_segments. sample(frames, first_frame, seed): latents of those frames, b 4 f h w, that begin
    with the picture first_frame, b 3 1 H W in [0, 1]; None at the start of a chain from the reference alone.
    decode: latents to pictures, b 3 f H W in [0, 1]. What either raises ends the chain, after all that was yielded.
    seed: of the chain; segment_seed tells that of each segment. first_frame: a picture to begin the video with.
    start: the segment to begin with; the result goes on identically where first_frame is then the last_picture of
    the segment before. Raises ValueError, before anything is sampled, where the start does not fit.
    """
    if not 0 <= start <= len(segments):
        raise ValueError(f"the chain starts at segment {start} of {len(segments)}: give 0 to {len(segments)}")
    if 0 < start < len(segments) and first_frame is None:
        raise ValueError(f"the chain starts at segment {start} without a first frame: give segment {start - 1}'s last")
    if first_frame is not None:
        first_frame = _copy(first_frame)
    for index in range(start, len(segments)):
        frames, own_seed = segments[index], segment_seed(seed, index)
        latents = sample(frames, first_frame, own_seed)
        pictures = decode(latents)
        assert latents.shape[2] == pictures.shape[2] == len(frames), "one latent and one picture for each frame"
        segment = Segment(index, frames, own_seed, latents, pictures[:, :, min(index, 1) :])
        first_frame = segment.last_picture
        del latents, pictures
        yield segment
        del segment  # or it would stay in memory while the next is sampled


def _copy(picture: Tensor) -> Tensor:
    """Keeps no other picture in memory, and always lies the same way there: sums depend on that in their last bits."""
    return picture.clone(memory_format=torch.contiguous_format)
