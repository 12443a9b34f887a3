"""A network that is made up, to measure what joining segments does by itself: it knows the truth, and follows its first
frame.

Whatever a hand-over loses, in the VAE above all, it takes for the look of the person and carries on into every frame of
its segment: drift without any of a network's own mistakes. A real network also looks at the reference, which pulls it
back, so it lies between this one and one that never drifts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from unianimate_core.drawn_world.characters import DrawnClip
from unianimate_core.long_video.chain import chain_segments, split_segments
from unianimate_core.long_video.seams import PAPERS, Handover, Seams
from unianimate_core.media.images import as_clip, as_frames
from unianimate_core.sampling import SamplingSettings
from unianimate_core.vae.autoencoder import Autoencoder


@dataclass(frozen=True)
class Follower:
    """follow: share of the first frame's difference to the truth that a segment takes over, 0 to 1."""

    codec: Autoencoder
    follow: float
    settings: SamplingSettings = field(default_factory=SamplingSettings)
    precision: str = "fp32"

    def sampled(self, settings: SamplingSettings) -> Follower:
        """Itself: it starts from no noise."""
        return self

    @torch.no_grad()
    def chained(self, clip: DrawnClip, length: int, seed: int, seams: Seams = PAPERS) -> np.ndarray:
        """See ClipAnimator.chained."""
        truth = torch.cat([self.codec.encode(part) for part in as_clip(clip.frames).split(16, dim=2)], dim=2)

        def sample(frames: range, handover: Handover | None, own_seed: int) -> Tensor:
            own = truth[:, :, frames.start : frames.stop]
            if handover is None:
                return own
            if not seams.hold_latents or handover.latents is None:
                return own + self.follow * (self.codec.encode(handover.image) - own[:, :, :1])
            shared = handover.latents.shape[2]
            rest = own[:, :, shared:] + self.follow * (handover.latents[:, :, -1:] - own[:, :, shared - 1 : shared])
            return torch.cat([handover.latents, rest], dim=2)

        segments = split_segments(len(clip.frames), length, seams.shared_frames)
        chain = chain_segments(segments, sample, self.codec.decode, seed=seed, seams=seams)
        return np.concatenate([as_frames(self.codec.decode(segment.latents)) for segment in chain])
