"""Noise schedule, starting noise, guidance and DDIM.

A denoiser is a function (x, t) -> v of latents b 4 f h w and an integer timestep. Samplers use nothing else of the
network; guidance makes a denoiser of it.
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
NOISE_PRIOR = 949
"""Timestep of the noise prior for a single clip, in the authors' runs."""
LONG_NOISE_PRIOR = 939
"""The same for long videos."""


@dataclass(frozen=True)
class NoiseSchedule:
    """Linear in the square root of beta, shifted and scaled to a terminal signal-to-noise ratio of zero.

    Source: Rombach et al. 2022 (Stable Diffusion); Lin et al. 2024, Common Diffusion Noise Schedules, algorithm 1.
    """

    beta_start: float = 0.00085
    beta_end: float = 0.012

    @cached_property
    def alpha_bar(self) -> Tensor:
        """Share of signal power at each timestep: float64, 1000 entries, from 0.99915 down to exactly 0."""
        betas = torch.linspace(self.beta_start**0.5, self.beta_end**0.5, TIMESTEPS, dtype=torch.float64) ** 2
        root = torch.cumprod(1 - betas, dim=0).sqrt()
        first, last = root[0], root[-1]
        return ((root - last) * first / (first - last)) ** 2

    def add_noise(self, x0: Tensor, noise: Tensor, t: int | Tensor) -> Tensor:
        """x_t = sqrt(alpha_bar) x0 + sqrt(1 - alpha_bar) noise. t: an integer, or b of them."""
        signal, spread = self._shares(t, x0)
        return signal * x0 + spread * noise

    def v_target(self, x0: Tensor, noise: Tensor, t: int | Tensor) -> Tensor:
        """The network's target, v = sqrt(alpha_bar) noise - sqrt(1 - alpha_bar) x0. Shapes: see add_noise.

        Source: Salimans & Ho 2022, appendix D.
        """
        signal, spread = self._shares(t, x0)
        return signal * noise - spread * x0

    def _shares(self, t: int | Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """sqrt(alpha_bar) and sqrt(1 - alpha_bar) for x. Computed on the CPU: some GPUs have no float64."""
        alpha_bar = self.alpha_bar[torch.as_tensor(t, device="cpu")].reshape(-1, *[1] * (x.ndim - 1))
        return alpha_bar.sqrt().to(x.dtype).to(x.device), (1 - alpha_bar).sqrt().to(x.dtype).to(x.device)


def split_prediction(x_t: Tensor, v: Tensor, alpha_bar: float) -> tuple[Tensor, Tensor]:
    """(x0, eps): the clean latents and the noise of x_t by v. There is no division, so alpha_bar may be 0.

    Source: Salimans & Ho 2022, appendix D.
    """
    signal, noise = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    return signal * x_t - noise * v, signal * v + noise * x_t


def ddim_step(x_t: Tensor, v: Tensor, alpha_bar: float, alpha_bar_next: float) -> tuple[Tensor, Tensor]:
    """One deterministic DDIM step: (latents at the next, less noisy timestep; clean latents predicted here).

    x_t, v: b 4 f h w; alpha_bar, alpha_bar_next: in [0, 1]; 0 is allowed (zero terminal SNR); a next of 1 ends clean.
    Source: Song et al. 2021, eq. 12 with sigma = 0.
    """
    x0, eps = split_prediction(x_t, v, alpha_bar)
    return alpha_bar_next**0.5 * x0 + (1 - alpha_bar_next) ** 0.5 * eps, x0


def ddim_timesteps(steps: int) -> list[int]:
    """The timesteps of a run, from noisy to clean. As in the authors' runs, 30 steps give 31 timesteps.

    steps: 1 to 1000, else ValueError.
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
    """Denoise from the first timestep of the run to the last.

    noise: b 4 f h w, latents at the first timestep. ending: "clean" returns the last step's x0; "upstream" stops at
    timestep 0 as the authors did, which leaves noise of standard deviation 0.029.
    callback(step, steps, x0) runs after each step, counted from 0; an exception in it ends the run.
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
    """alpha_bar after the last step: 1 for a clean image, or the schedule's first entry."""
    if ending not in ("clean", "upstream"):
        raise ValueError(f"ending is {ending!r}: give 'clean' or 'upstream'")
    return 1.0 if ending == "clean" else float(alpha_bar[0])


@torch.no_grad()
def guided(unet: UNet, conditions: Mapping[str, Any], text: Tensor, scale: float) -> Denoiser:
    """A denoiser with classifier-free guidance: v_uncond + scale (v_cond - v_uncond).

    conditions: keywords of UNet.embed except text; they are embedded here, once. The unconditional pass gets only
    the text. scale: 2.5 in the authors' runs; 1 takes one pass a step. Source: Ho & Salimans 2022, eq. 6.
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

    shape: b 4 f h w; generator: on the CPU, so that a seed means the same on any device. Frames are drawn one after
    another, as ComfyUI draws them. Source: Guttenberg 2023, Diffusion with Offset Noise; 0.1 as its authors'.
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
    """Where a run starts: pure noise, or the noise prior if there is a reference and prior is not 0. fp32.

    long_video: the offset noise is added after the prior, at full strength, as in the authors' long videos.
    shape, generator, offset: see starting_noise; reference_latent, prior: see noise_prior.
    """
    if reference_latent is None or prior == 0:
        return starting_noise(shape, generator, offset)
    if not long_video:
        return noise_prior(reference_latent, starting_noise(shape, generator, offset), prior)
    start = noise_prior(reference_latent, starting_noise(shape, generator, 0), prior)
    return start + offset * _constant_over_frames(shape, generator) if offset else start


def _constant_over_frames(shape: tuple[int, int, int, int, int], generator: torch.Generator) -> Tensor:
    b, c, f, _, _ = shape
    return rearrange(torch.randn(b, f, c, 1, 1, generator=generator), "b f c h w -> b c f h w")


def noise_prior(
    reference_latent: Tensor, noise: Tensor, t: int = NOISE_PRIOR, schedule: NoiseSchedule | None = None
) -> Tensor:
    """The reference on every frame, diffused to timestep t: a start that keeps its background and colors.

    reference_latent: b 4 1 h w; noise and result: b 4 f h w. t: larger is weaker; see NOISE_PRIOR, LONG_NOISE_PRIOR.
    """
    schedule = schedule or NoiseSchedule()
    if not 0 <= t < TIMESTEPS:
        raise ValueError(f"the noise prior's timestep is {t}: give 0 to {TIMESTEPS - 1}")
    still = repeat(reference_latent, "b c 1 h w -> b c f h w", f=noise.shape[2])
    return schedule.add_noise(still, noise, t)
