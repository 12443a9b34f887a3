"""Long videos on ComfyUI's samplers: clips chained on their last frame, or overlapping windows over all frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import comfy.context_windows
import torch
from einops import rearrange
from torch import Tensor

from ..unianimate_core.long_video import chain_segments, window_ranges
from ..unianimate_core.segment_store import SegmentStore
from .long_clips import LongClips
from .long_run import LongProgress, decode, with_retry
from .sampling import sample, starting_latents

AddPictures = Callable[[Tensor], None]


def with_windows(model, frames: int, length: int, overlap: int):
    """The MODEL with ComfyUI's own context windows, set as the authors' are: at even steps, with plain means.

    Raises ValueError where the numbers make no windows.
    """
    window_ranges(frames, length, overlap)
    windows = comfy.context_windows
    handler = windows.IndexListContextHandler(
        context_schedule=windows.get_matching_context_schedule(windows.ContextSchedules.STATIC_STANDARD),
        fuse_method=windows.get_matching_fuse_method(windows.ContextFuseMethods.FLAT),
        context_length=length,
        context_overlap=overlap,
        dim=0,
    )
    handler.causal_window_fix = False  # each window is a clip of its own; older ComfyUI does not ask
    model = model.clone()
    model.model_options["context_handler"] = handler
    windows.create_prepare_sampling_wrapper(model)
    return model


@dataclass(frozen=True)
class Settings:
    """How all segments are sampled. sampling: steps, guidance, sampler, scheduler, ending."""

    seed: int
    noise_prior: int
    offset_noise: float
    sampling: tuple[int, float, str, str, str]


@dataclass(frozen=True)
class LongVideo:
    """A long video under way. segments: the frames of each; keys: of each in the store."""

    model: Any
    vae: Any
    clips: LongClips
    settings: Settings
    segments: list[range]
    keys: list[str]
    store: SegmentStore
    progress: LongProgress

    def chain(self, add: AddPictures) -> Tensor:
        """Sample the segments that are not in the store, each kept there before it is shown; the latents, f 4 h w.

        add: takes the pictures of all segments in order, f H W 3.
        """
        latents, first_frame = [], self.clips.first_frame
        for index, stored in enumerate(self._stored()):
            shared = min(index, 1)  # the frame that the segment before has shown
            add(torch.cat(list(decode(self.vae, stored["latents"])))[shared:])
            latents.append(stored["latents"][shared:])
            first_frame = stored["last_picture"]
        start = len(latents)
        self.progress.continued(start)
        for segment in chain_segments(
            self.segments,
            self._sample,
            self._pictures,
            seed=self.settings.seed,
            first_frame=first_frame,
            start=start,
        ):
            tensors = {"latents": _as_frames(segment.latents), "last_picture": segment.last_picture}
            self.store.save(segment.index, self.keys[segment.index], tensors)
            self.progress.finished(segment.index)
            add(rearrange(segment.pictures, "1 c f h w -> f h w c"))
            latents.append(_as_frames(segment.new_latents))
            del segment  # or its pictures would stay in memory while the next is sampled
        return torch.cat(latents)

    def windows(self, add: AddPictures) -> Tensor:
        """As chain, in a single run over all frames."""
        (stored,) = list(self._stored()) or [None]
        self.progress.continued(0 if stored is None else 1)
        if stored is None:
            stored = {"latents": _as_frames(self._sample(self.segments[0], self.clips.first_frame, self.settings.seed))}
            self.store.save(0, self.keys[0], stored)
            self.progress.finished(0)
        for pictures in decode(self.vae, stored["latents"]):
            add(pictures)
        return stored["latents"]

    def _stored(self) -> Iterator[dict[str, Tensor]]:
        """The finished segments at the beginning."""
        for index, key in enumerate(self.keys):
            stored = self.store.load(index, key)
            if stored is None:
                return
            yield stored

    def _sample(self, frames: range, first_frame: Tensor | None, seed: int) -> Tensor:
        """1 4 f h w, on the CPU."""

        def attempt() -> Tensor:
            clip = self.clips.clip(frames, first_frame)
            start = starting_latents(clip, seed, self.settings.noise_prior, self.settings.offset_noise)
            callback = self.progress.callback(self.segments.index(frames))
            return sample(self.model, clip, start, seed, *self.settings.sampling, callback=callback).cpu()

        latents = with_retry(
            attempt,
            attempt,
            f"sampling {len(frames)} frames",
            "lower segment_length, then width and height, or start ComfyUI with --lowvram",
        )
        return rearrange(latents, "f c h w -> 1 c f h w")

    def _pictures(self, latents: Tensor) -> Tensor:
        """1 4 f h w to 1 3 f H W."""
        return rearrange(torch.cat(list(decode(self.vae, _as_frames(latents)))), "f h w c -> 1 c f h w")


def _as_frames(clip: Tensor) -> Tensor:
    return rearrange(clip, "1 c f h w -> f c h w")
