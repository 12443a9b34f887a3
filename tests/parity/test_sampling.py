"""Schedule, DDIM, guidance and noise prior give what the authors' implementation gave."""

from __future__ import annotations

import json

import pytest
from safetensors.torch import load_file

from tests.support import recorded as made_up
from tests.support.recorded import EVERYTHING, REFERENCE_AND_POSE, conditions, difference, latents, text
from unianimate_core.diffusion import NoiseSchedule, ddim_sample, ddim_timesteps, guided, noise_prior

SCHEDULE = json.loads((made_up.DATA / "schedule.json").read_text())
PREFIX = "ddim."


def recorded(name: str):
    return load_file(made_up.DATA / "sampling_tiny.safetensors")[name]


@pytest.mark.parametrize("t", [int(t) for t in SCHEDULE["alphas_cumprod"]])
def test_alpha_bar_is_the_authors(t):
    """Exact to the last bits of float64, and exactly 0 at the end: zero terminal SNR is not nearly zero."""
    expected = SCHEDULE["alphas_cumprod"][str(t)]
    assert float(NoiseSchedule().alpha_bar[t]) == pytest.approx(expected, rel=1e-9, abs=0)


@pytest.mark.parametrize("steps", [int(steps) for steps in SCHEDULE["ddim_steps"]])
def test_timesteps_are_the_authors(steps):
    """31 evaluations for 30 steps and where they lie decide what a saved workflow gives."""
    assert ddim_timesteps(steps) == SCHEDULE["ddim_steps"][str(steps)]


def test_noise_prior_is_the_authors():
    reference = conditions(["reference_latent"], PREFIX)["reference_latent"]
    error = difference(noise_prior(reference, latents(PREFIX + "noise"), 939), recorded("noise_prior_939"))
    assert error < 1e-4


@pytest.mark.parametrize(
    ("name", "given"), [("ddim10_cfg2.5", REFERENCE_AND_POSE), ("ddim10_cfg2.5_first_frame", EVERYTHING)]
)
def test_a_whole_run_is_the_authors(name, given):
    """Ten guided steps to the authors' ending. Correct code reaches 2e-6."""
    denoiser = guided(made_up.tiny_unet(), conditions(given, PREFIX), text(), 2.5)
    result = ddim_sample(denoiser, latents(PREFIX + "noise"), 10, ending="upstream")
    error = difference(result, recorded(name))
    assert error < 1e-4
