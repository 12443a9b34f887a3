"""Sampling settings, and where a run starts."""

from __future__ import annotations

import math

import pytest
import torch

from unianimate_core.diffusion import noise_prior, starting_noise
from unianimate_core.sampling import SamplingSettings, initial_latents


def test_the_defaults_are_the_authors():
    settings = SamplingSettings()
    assert (settings.steps, settings.guidance_scale, settings.offset_noise) == (30, 2.5, 0.1)
    assert (settings.prior(), settings.prior(long_video=True)) == (949, 939)


def test_a_given_noise_prior_serves_clips_and_long_videos():
    """0 is pure noise, which must not be mistaken for "the authors'"."""
    for prior in (0, 965):
        settings = SamplingSettings(noise_prior=prior)
        assert settings.prior() == settings.prior(long_video=True) == prior


def test_a_run_starts_from_the_noise_of_its_seed_and_the_prior():
    """As long as its poses, of the reference's size."""
    reference = torch.randn(1, 4, 1, 4, 2, generator=torch.Generator().manual_seed(0))
    conditions = {"reference_latent": reference, "pose": torch.zeros(1, 3, 5, 32, 16)}
    noise = starting_noise((1, 4, 5, 4, 2), torch.Generator().manual_seed(7), 0.2)
    start = initial_latents(conditions, SamplingSettings(seed=7, offset_noise=0.2))
    assert torch.equal(start, noise_prior(reference, noise, 949))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seed": -1}, "seed is -1: give 0 to 2"),
        ({"seed": 2**64}, "seed is 18446744073709551616: give 0 to"),
        ({"steps": 0}, "steps is 0: give 1 to 1000"),
        ({"steps": 1001}, "steps is 1001: give 1 to 1000"),
        ({"guidance_scale": 0.0}, "guidance_scale is 0.0: give a number above 0"),
        ({"guidance_scale": math.nan}, "guidance_scale is nan"),
        ({"noise_prior": 1000}, "noise_prior is 1000: give 0"),
        ({"offset_noise": 1.5}, "offset_noise is 1.5: give 0 to 1"),
        ({"ending": "soft"}, "ending is 'soft': give 'clean' or 'upstream'"),
    ],
)
def test_impossible_settings_are_refused_at_once(changed, message):
    """Not after minutes of loading, and not by an error within PyTorch."""
    with pytest.raises(ValueError, match=message):
        SamplingSettings(**changed)
