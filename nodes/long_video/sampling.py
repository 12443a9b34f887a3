"""Long videos on ComfyUI's samplers: segment by segment, with progress, previews and a second try out of memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from ...unianimate_core.long_video.run import ChainPlan, run_chain, segment_images
from ...unianimate_core.long_video.seams import Handover
from ...unianimate_core.long_video.segment_store import Store
from ...unianimate_core.sampling import SamplingSettings
from ..sampling import HostSampler, sample, starting_latents
from .clips import LongClips
from .progress import LongProgress, decode, with_retry

AddImages = Callable[[Tensor], None]


@dataclass(frozen=True)
class LongVideo:
    """A long video under way."""

    model: Any
    vae: Any
    clips: LongClips
    settings: SamplingSettings
    sampler: HostSampler
    plan: ChainPlan
    progress: LongProgress

    def make(self, store: Store, add: AddImages) -> Tensor:
        """Sample the segments that are not in the store; returns all latents, f 4 h w.

        add: receives the images of all segments in order, f H W 3.
        """
        latents = []
        segments = run_chain(
            self.plan,
            store,
            self._sample,
            self._decode,
            first=self.clips.beginning,
            before_sampling=self.progress.continued,
        )
        for segment in segments:
            for images in segment_images(segment, self._decode):
                add(rearrange(images, "1 c f h w -> f h w c"))
            (self.progress.shown if segment.restored else self.progress.finished)(segment.index)
            latents.append(_as_frames(segment.latents))
        return torch.cat(latents)

    def _sample(self, frames: range, handover: Handover | None, seed: int) -> Tensor:
        """1 4 f h w, on the CPU."""
        settings = replace(self.settings, seed=seed)
        callback = self.progress.callback(self.plan.segments.index(frames))
        held = None
        if self.plan.seams.hold_latents and handover is not None and handover.latents is not None:
            held = _as_frames(handover.latents)

        def attempt() -> Tensor:
            clip = self.clips.clip(frames, handover)
            start = starting_latents(clip, settings, long_video=True)
            return sample(self.model, clip, start, settings, self.sampler, held=held, callback=callback).cpu()

        def in_smaller_pieces() -> Tensor:
            with self.model.model.network.backend.smaller_pieces():
                return attempt()

        latents = with_retry(
            attempt,
            in_smaller_pieces,
            f"sampling {len(frames)} frames",
            "start ComfyUI with --lowvram, which keeps the segments that are finished, or begin anew with a smaller "
            "segment_length, width and height",
        )
        return rearrange(latents, "f c h w -> 1 c f h w")

    def _decode(self, latents: Tensor) -> Tensor:
        """1 4 n h w to 1 3 n H W."""
        return rearrange(torch.cat(list(decode(self.vae, _as_frames(latents)))), "f h w c -> 1 c f h w")


def _as_frames(clip: Tensor) -> Tensor:
    return rearrange(clip, "1 c f h w -> f c h w")
