"""Noise schedule, starting noise, guidance and DDIM.

A denoiser is a function (x, t) -> v of latents b 4 f h w and an integer timestep; samplers know nothing else of the
network, and guidance is a wrapper that makes one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from einops import rearrange, repeat
from torch import Tensor

from .model import UNet

Denoiser = Callable[[Tensor, int], Tensor]
StepCallback = Callable[[int, int, Tensor], None]
Ending = Literal["clean", "upstream"]

TIMESTEPS = 1000
LATENT_SCALE = 0.18215


@dataclass(frozen=True)
class NoiseSchedule:
    """Linear in the square root of beta, shifted and scaled to a terminal signal-to-noise ratio of zero.

    Source: Rombach et al. 2022 (Stable Diffusion); Lin et al. 2024, Common Diffusion Noise Schedules, algorithm 1.
    """

    beta_start: float = 0.00085
    beta_end: float = 0.012

    @cached_property
    def alpha_bar(self) -> Tensor:
        """Share of the signal's power at each timestep: float64, 1000 entries, from 0.99915 down to exactly 0."""
        betas = torch.linspace(self.beta_start**0.5, self.beta_end**0.5, TIMESTEPS, dtype=torch.float64) ** 2
        root = torch.cumprod(1 - betas, dim=0).sqrt()
        first, last = root[0], root[-1]
        return ((root - last) * first / (first - last)) ** 2

    def add_noise(self, x0: Tensor, noise: Tensor, t: int | Tensor) -> Tensor:
        """x_t for clean latents: sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) noise. t: one integer, or one each of b."""
        alpha_bar = self._at(t, x0)
        return alpha_bar.sqrt().to(x0.dtype) * x0 + (1 - alpha_bar).sqrt().to(x0.dtype) * noise

    def v_target(self, x0: Tensor, noise: Tensor, t: int | Tensor) -> Tensor:
        """What the network learns to predict: sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) x0. Shapes as in add_noise.

        Source: Salimans & Ho 2022, appendix D.
        """
        alpha_bar = self._at(t, x0)
        return alpha_bar.sqrt().to(x0.dtype) * noise - (1 - alpha_bar).sqrt().to(x0.dtype) * x0

    def _at(self, t: int | Tensor, x: Tensor) -> Tensor:
        alpha_bar = self.alpha_bar.to(x.device)[torch.as_tensor(t, device=x.device)]
        return alpha_bar.reshape(-1, *[1] * (x.ndim - 1))


def split_prediction(x_t: Tensor, v: Tensor, alpha_bar: float) -> tuple[Tensor, Tensor]:
    """The clean latents and the noise that x_t is made of, by v. Without a division, so at alpha_bar 0 too.

    Source: Salimans & Ho 2022, appendix D.
    """
    signal, noise = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    return signal * x_t - noise * v, signal * v + noise * x_t


def ddim_step(x_t: Tensor, v: Tensor, alpha_bar: float, alpha_bar_next: float) -> tuple[Tensor, Tensor]:
    """One deterministic step to a less noisy timestep: (the latents there, the clean latents predicted here).

    x_t, v: b 4 f h w; alpha_bar, alpha_bar_next: in [0, 1]; 0 is allowed (zero terminal SNR), 1 ends clean.
    Source: Song et al. 2021, eq. 12 with sigma = 0.
    """
    x0, eps = split_prediction(x_t, v, alpha_bar)
    return alpha_bar_next**0.5 * x0 + (1 - alpha_bar_next) ** 0.5 * eps, x0


def ddim_timesteps(steps: int) -> list[int]:
    """The timesteps of a run, from noisy to clean: one more than the nearest divisor allows, as the authors' 31 for 30.

    steps: 1..1000. Raises ValueError outside.
    """
    if not 1 <= steps <= TIMESTEPS:
        raise ValueError(f"steps is {steps}: give 1 to {TIMESTEPS}")
    return [min(1 + offset, TIMESTEPS - 1) for offset in range(0, TIMESTEPS, TIMESTEPS // steps)][::-1]


@torch.no_grad()
def ddim_sample(
    denoiser: Denoiser,
    noise: Tensor,
    steps: int,
    *,
    ending: Ending = "clean",
    callback: StepCallback | None = None,
    schedule: NoiseSchedule | None = None,
) -> Tensor:
    """Denoise from the first timestep of the run to the end.

    noise: b 4 f h w, latents at that timestep. ending: "clean" returns the last step's x0; "upstream" stops at
    timestep 0 as the authors did, where a noise of standard deviation 0.029 is left.
    callback(step, steps, x0) after each step, counted from 0; an exception it raises ends the run.
    """
    alpha_bar = (schedule or NoiseSchedule()).alpha_bar
    timesteps = ddim_timesteps(steps)
    nexts = [float(alpha_bar[t]) for t in timesteps[1:]] + [final_alpha_bar(ending, alpha_bar)]
    x = noise
    for step, (t, alpha_bar_next) in enumerate(zip(timesteps, nexts, strict=True)):
        x, x0 = ddim_step(x, denoiser(x, t), float(alpha_bar[t]), alpha_bar_next)
        if callback is not None:
            callback(step, len(timesteps), x0)
    return x


def final_alpha_bar(ending: Ending, alpha_bar: Tensor) -> float:
    """Where the last step goes: to a clean image, or to the schedule's first entry."""
    if ending not in ("clean", "upstream"):
        raise ValueError(f"ending is {ending!r}: give 'clean' or 'upstream'")
    return 1.0 if ending == "clean" else float(alpha_bar[0])


@torch.no_grad()
def guided(unet: UNet, conditions: Mapping[str, Any], text: Tensor, scale: float) -> Denoiser:
    """A denoiser with classifier-free guidance: v_uncond + scale (v_cond - v_uncond).

    conditions: keywords of UNet.forward but text, embedded once, here. The unconditional pass sees the text alone.
    scale: 2.5 in the authors' runs; 1 is one pass a step. Source: Ho & Salimans 2022, eq. 6.
    """
    with_conditions = unet.embed(text=text, **conditions)
    text_alone = unet.embed(text=text)

    @torch.no_grad()
    def denoiser(x: Tensor, t: int) -> Tensor:
        timestep = torch.full((len(x),), t, device=x.device)
        v_cond = unet.denoise(x, timestep, with_conditions)
        if scale == 1:
            return v_cond
        v_uncond = unet.denoise(x, timestep, text_alone)
        return v_uncond + scale * (v_cond - v_uncond)

    return denoiser


def starting_noise(shape: tuple[int, int, int, int, int], generator: torch.Generator, offset: float = 0.1) -> Tensor:
    """Standard normal noise, plus `offset` times noise that is constant over each frame and channel. fp32.

    shape: b 4 f h w; generator: on the CPU, so that a seed means the same on any device. The frames are drawn one
    after the other, as ComfyUI draws them. Source: Guttenberg 2023, Diffusion with Offset Noise; 0.1 as its authors'.
    """
    b, c, f, h, w = shape
    noise = rearrange(torch.randn(b, f, c, h, w, generator=generator), "b f c h w -> b c f h w")
    return noise + offset * _constant_over_frames(shape, generator) if offset else noise


def starting_latents(
    shape: tuple[int, int, int, int, int],
    generator: torch.Generator,
    reference_latent: Tensor | None,
    *,
    prior: int,
    offset: float = 0.1,
    long_video: bool = False,
) -> Tensor:
    """Where a run starts: noise, or with a reference and a prior's timestep (0 for none) the noise prior. fp32.

    long_video: the offset noise is added after the prior, at full strength, as the authors' long videos have it.
    shape, generator, offset: as of starting_noise; reference_latent, prior: as of noise_prior.
    """
    if reference_latent is None or prior == 0:
        return starting_noise(shape, generator, offset)
    if not long_video:
        return noise_prior(reference_latent, starting_noise(shape, generator, offset), prior)
    start = noise_prior(reference_latent, starting_noise(shape, generator, 0), prior)
    return start + offset * _constant_over_frames(shape, generator) if offset else start


def sample_clip(
    unet: UNet,
    conditions: Mapping[str, Any],
    text: Tensor,
    *,
    steps: int,
    guidance: float,
    prior: int,
    seed: int,
    offset: float = 0.1,
    callback: StepCallback | None = None,
) -> Tensor:
    """All frames of a clip at once, from its conditions to its clean latents, 1 4 f h w.

    conditions, text, guidance: as of guided; pose and reference_latent must be there. prior, offset: as of
    starting_latents. steps, callback: as of ddim_sample. The same seed means the same noise on any device.
    """
    reference = conditions["reference_latent"]
    height, width = reference.shape[-2:]
    shape = (1, 4, conditions["pose"].shape[2], height, width)
    generator = torch.Generator().manual_seed(seed)
    start = starting_latents(shape, generator, reference.cpu(), prior=prior, offset=offset).to(reference.device)
    return ddim_sample(guided(unet, conditions, text, guidance), start, steps, callback=callback)


def _constant_over_frames(shape: tuple[int, int, int, int, int], generator: torch.Generator) -> Tensor:
    b, c, f, _, _ = shape
    return rearrange(torch.randn(b, f, c, 1, 1, generator=generator), "b f c h w -> b c f h w")


def noise_prior(reference_latent: Tensor, noise: Tensor, t: int = 949, schedule: NoiseSchedule | None = None) -> Tensor:
    """Where a run may start instead of pure noise: the reference on every frame, diffused to timestep t.

    It keeps background and colors. reference_latent: b 4 1 h w; noise: b 4 f h w.
    t: 949 for single clips and 939 for long video in the authors' runs; larger is weaker.
    """
    schedule = schedule or NoiseSchedule()
    if not 0 <= t < TIMESTEPS:
        raise ValueError(f"the noise prior's timestep is {t}: give 0 to {TIMESTEPS - 1}")
    still = repeat(reference_latent, "b c 1 h w -> b c f h w", f=noise.shape[2])
    return schedule.add_noise(still, noise, t)
