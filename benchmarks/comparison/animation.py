"""Held-out drawn characters, animated: what the paper's tables and the contact sheet are made of."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from unianimate_core.animator import Animator
from unianimate_core.drawn_world.characters import DrawnClip
from unianimate_core.guidance import Guidance, read_guidance
from unianimate_core.long_video.seams import PAPERS, Seams
from unianimate_core.long_video.segment_store import NoStore
from unianimate_core.long_video.video import LongVideo, LongVideoSettings
from unianimate_core.media.images import as_clip, as_frames
from unianimate_core.model import UNet
from unianimate_core.sampling import SamplingSettings
from unianimate_core.vae.autoencoder import Autoencoder

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Given:
    """What a row of a table gives the network beside reference image and poses."""

    reference_pose: bool = True
    first_frame: bool = False


class ClipAnimator:
    """A network and a VAE that make videos of drawn clips. The same seed starts every network from the same noise.

    precision: "bf16" computes network and VAE in mixed precision; latents stay in fp32 from step to step.
    """

    def __init__(
        self,
        unet: UNet,
        codec: Autoencoder,
        settings: SamplingSettings,
        precision: Precision = "fp32",
        device: torch.device | str = "cpu",
    ):
        self.models = Animator(unet, codec, device=device)
        self.settings = settings
        self.precision: Precision = precision

    def sampled(self, settings: SamplingSettings) -> ClipAnimator:
        """The same network and VAE with other settings."""
        return ClipAnimator(self.models.unet, self.models.vae, settings, self.precision, self.models.device)

    def clip(self, clip: DrawnClip, given: Given, seed: int) -> np.ndarray:
        """All frames at once: uint8 f h w 3."""
        with self._computing():
            conditions = self.models.encode(guidance_of(clip, given))
            return as_frames(self.models.decode(self.models.sample(conditions, self._settings(seed))))

    def chained(self, clip: DrawnClip, length: int, seed: int, seams: Seams = PAPERS) -> np.ndarray:
        """Segments of this length, each beginning with the last frame of the one before: the paper's way."""
        return self._long(clip, LongVideoSettings(length, seams=seams), seed)

    def windowed(self, clip: DrawnClip, window: int, overlap: int, seed: int) -> np.ndarray:
        """All frames in the authors' overlapping windows, averaged at each step: what the paper compares with."""
        return self._long(clip, LongVideoSettings(window, "windows", overlap, "upstream"), seed)

    def _long(self, clip: DrawnClip, long: LongVideoSettings, seed: int) -> np.ndarray:
        with self._computing():
            video = LongVideo(self.models, guidance_of(clip, Given()), self._settings(seed), long)
            return np.concatenate([as_frames(images) for images in video.images(NoStore())])

    @torch.no_grad()
    def reconstructed(self, clip: DrawnClip) -> np.ndarray:
        """The true frames through the VAE and back: no network can be closer to the truth."""
        with self._computing():
            return as_frames(self.models.decode(self._encoded(as_clip(clip.frames))))

    def _encoded(self, images: Tensor) -> Tensor:
        return self.models.vae.to(self.models.device).encode(images)

    def _settings(self, seed: int) -> SamplingSettings:
        return replace(self.settings, seed=seed)

    def _computing(self) -> torch.autocast:
        return torch.autocast(self.models.device.type, torch.bfloat16, enabled=self.precision == "bf16")


def guidance_of(clip: DrawnClip, given: Given) -> Guidance:
    return read_guidance(
        clip.reference,
        clip.reference_pose if given.reference_pose else None,
        clip.poses,
        first_frame=clip.frames[0] if given.first_frame else None,
    )
