"""How a video is sampled: the settings, and the latents that a run starts from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .config import LATENT_CHANNELS
from .diffusion import LONG_NOISE_PRIOR, NOISE_PRIOR, TIMESTEPS, Ending, starting_latents


@dataclass(frozen=True)
class SamplingSettings:
    """How a video is sampled. The defaults are the authors'.

    seed: 0 to 2^64 - 1; the same seed gives the same video on any device.
    steps: of DDIM, 1 to 1000; the authors' 30 take 31 timesteps. guidance_scale: 1 is one pass a step, unguided.
    noise_prior: the timestep, 1 to 999, to which the reference is diffused to start from; larger is weaker, 0 is pure
    noise, None is NOISE_PRIOR for one clip and LONG_NOISE_PRIOR for a long video.
    offset_noise: of a whole frame's brightness. ending: see ddim_sample.
    Raises ValueError if a value is out of range.
    """

    seed: int = 0
    steps: int = 30
    guidance_scale: float = 2.5
    noise_prior: int | None = None
    offset_noise: float = 0.1
    ending: Ending = "clean"

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed is {self.seed}: give 0 to 2^64 - 1")
        if not 1 <= self.steps <= TIMESTEPS:
            raise ValueError(f"steps is {self.steps}: give 1 to {TIMESTEPS}")
        if not (math.isfinite(self.guidance_scale) and self.guidance_scale > 0):
            raise ValueError(f"guidance_scale is {self.guidance_scale}: give a number above 0, 2.5 as the authors did")
        if self.noise_prior is not None and not 0 <= self.noise_prior < TIMESTEPS:
            raise ValueError(f"noise_prior is {self.noise_prior}: give 0 (pure noise) to {TIMESTEPS - 1}")
        if not 0 <= self.offset_noise <= 1:
            raise ValueError(f"offset_noise is {self.offset_noise}: give 0 to 1, 0.1 as trained")
        if self.ending not in ("clean", "upstream"):
            raise ValueError(f"ending is {self.ending!r}: give 'clean' or 'upstream'")

    def prior(self, *, long_video: bool = False) -> int:
        """The noise prior's timestep; 0 is pure noise."""
        if self.noise_prior is not None:
            return self.noise_prior
        return LONG_NOISE_PRIOR if long_video else NOISE_PRIOR


def initial_latents(conditions: Mapping[str, Any], settings: SamplingSettings, *, long_video: bool = False) -> Tensor:
    """Where the run of a clip starts: 1 4 f h w, on the device of the reference latent.

    long_video: with the prior of long videos, to which the offset noise is added at full strength.
    """
    reference = conditions["reference_latent"]
    height, width = reference.shape[-2:]
    start = starting_latents(
        (1, LATENT_CHANNELS, conditions["pose"].shape[2], height, width),
        torch.Generator().manual_seed(settings.seed),
        reference.cpu(),
        prior=settings.prior(long_video=long_video),
        offset=settings.offset_noise,
        long_video=long_video,
    )
    return start.to(reference.device)
