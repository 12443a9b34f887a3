"""Long videos on ComfyUI's samplers: clips chained on their last frame, or overlapping windows over all frames."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from ...unianimate_core.long_video.chain import chain_segments
from ...unianimate_core.long_video.seams import Handover, Seams, as_stored
from ...unianimate_core.long_video.segment_store import SegmentStore
from ..sampling import Sampling, sample, starting_latents
from .clips import LongClips
from .progress import LongProgress, decode, with_retry

AddImages = Callable[[Tensor], None]


@dataclass(frozen=True)
class LongVideo:
    """A long video under way. segments: the frames of each; keys: of each in the store."""

    model: Any
    vae: Any
    clips: LongClips
    sampling: Sampling
    seams: Seams
    segments: list[range]
    keys: list[str]
    store: SegmentStore
    progress: LongProgress

    def make(self, add: AddImages) -> Tensor:
        """Sample the segments that are not in the store, each kept there before it is shown; the latents, f 4 h w.

        add: takes the images of all segments in order, f H W 3.
        """
        latents, handover = [], self.clips.beginning
        for index, stored in enumerate(self._stored()):
            handover = Handover(stored["handover_image"], stored["handover_latents"])
            self._show(stored["latents"], handover, add)
            self.progress.shown(index)
            latents.append(stored["latents"])
        start = len(latents)
        self.progress.continued(start)
        for segment in chain_segments(
            self.segments,
            self._sample,
            self._image,
            seed=self.sampling.seed,
            seams=self.seams,
            handover=handover,
            start=start,
        ):
            tensors = {
                "latents": as_stored(_as_frames(segment.latents)),
                "handover_image": segment.handover.image,
                "handover_latents": segment.handover.latents,
            }
            self.store.save(segment.index, self.keys[segment.index], tensors)
            self._show(tensors["latents"], segment.handover, add)
            self.progress.finished(segment.index)
            latents.append(tensors["latents"])
        return torch.cat(latents)

    def _show(self, latents: Tensor, handover: Handover, add: AddImages) -> None:
        """Decode new frames, f 4 h w, a few at a time; the last one has been decoded to be handed over."""
        for images in decode(self.vae, latents[:-1]):
            add(images)
        add(rearrange(handover.image, "1 c 1 h w -> 1 h w c"))

    def _stored(self) -> Iterator[dict[str, Tensor]]:
        """The finished segments at the beginning."""
        for index, key in enumerate(self.keys):
            stored = self.store.load(index, key)
            if stored is None:
                return
            yield stored

    def _sample(self, frames: range, handover: Handover | None, seed: int) -> Tensor:
        """1 4 f h w, on the CPU."""
        own = replace(self.sampling, seed=seed)
        callback = self.progress.callback(self.segments.index(frames))
        held = None
        if self.seams.hold_latents and handover is not None and handover.latents is not None:
            held = _as_frames(handover.latents)

        def attempt() -> Tensor:
            clip = self.clips.clip(frames, handover)
            start = starting_latents(clip, own, long_video=True)
            return sample(self.model, clip, start, own, held=held, callback=callback).cpu()

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

    def _image(self, latent: Tensor) -> Tensor:
        """1 4 1 h w to 1 3 1 H W."""
        return rearrange(torch.cat(list(decode(self.vae, _as_frames(latent)))), "1 h w c -> 1 c 1 h w")


def _as_frames(clip: Tensor) -> Tensor:
    return rearrange(clip, "1 c f h w -> f c h w")
