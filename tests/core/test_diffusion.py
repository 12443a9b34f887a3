"""The noise schedule, DDIM and guidance, with denoisers whose results are known."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.support.examples import examples
from unianimate_core.diffusion import (
    TIMESTEPS,
    NoiseSchedule,
    ddim_sample,
    ddim_step,
    ddim_timesteps,
    guided,
    noise_prior,
    split_prediction,
    starting_noise,
)

SCHEDULE = NoiseSchedule()
SHAPE = (1, 4, 3, 4, 2)
seeds = st.integers(0, 2**32 - 1)
timesteps = st.integers(0, TIMESTEPS - 1)


def normal(seed: int, shape=SHAPE) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_alpha_bar_falls_to_exactly_zero():
    """Any other last value would leak the mean of the image into the noise that sampling starts from."""
    alpha_bar = SCHEDULE.alpha_bar
    assert alpha_bar.dtype == torch.float64
    assert len(alpha_bar) == TIMESTEPS
    assert (alpha_bar.diff() < 0).all()
    assert alpha_bar[-1] == 0


@given(seeds, timesteps)
def test_a_prediction_splits_into_image_and_noise(seed, t):
    """x_t and the v of training give back the image and the noise, even at zero SNR."""
    x0, noise = normal(seed), normal(seed + 1)
    x_t, v = SCHEDULE.add_noise(x0, noise, t), SCHEDULE.v_target(x0, noise, t)
    found_x0, found_noise = split_prediction(x_t, v, float(SCHEDULE.alpha_bar[t]))
    torch.testing.assert_close(found_x0, x0)
    torch.testing.assert_close(found_noise, noise)


def test_noise_is_added_at_a_timestep_for_each_of_a_batch():
    """Training draws a timestep for each clip."""
    x0, noise = normal(0, (2, *SHAPE[1:])), normal(1, (2, *SHAPE[1:]))
    together = SCHEDULE.add_noise(x0, noise, torch.tensor([10, 999]))
    torch.testing.assert_close(together[:1], SCHEDULE.add_noise(x0[:1], noise[:1], 10))
    torch.testing.assert_close(together[1:], noise[1:])


@given(seeds, timesteps)
def test_a_step_stays_on_the_path_of_its_image_and_noise(seed, t):
    """With the true v, the result of a step is x at the other timestep."""
    x0, noise = normal(seed), normal(seed + 1)
    x_t, v = SCHEDULE.add_noise(x0, noise, t), SCHEDULE.v_target(x0, noise, t)
    target = t // 2
    stepped, predicted = ddim_step(x_t, v, float(SCHEDULE.alpha_bar[t]), float(SCHEDULE.alpha_bar[target]))
    torch.testing.assert_close(stepped, SCHEDULE.add_noise(x0, noise, target))
    torch.testing.assert_close(predicted, x0)


@pytest.mark.parametrize("alpha_bar_next", [0.0, 0.5, 1.0])
def test_a_step_from_zero_snr_is_finite(alpha_bar_next):
    """alpha_bar is exactly 0 there, and the usual form of the step divides by its root."""
    for result in ddim_step(normal(0), normal(1), 0.0, alpha_bar_next):
        assert result.isfinite().all()


@given(st.integers(1, TIMESTEPS))
def test_timesteps_decrease_within_the_schedule(steps):
    """There are at least as many evaluations as steps, and the last is at timestep 1."""
    result = ddim_timesteps(steps)
    assert len(result) >= steps
    assert result == sorted(result, reverse=True)
    assert result[-1] == 1
    assert max(result) < TIMESTEPS


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_impossible_steps_are_refused(steps):
    with pytest.raises(ValueError, match=f"steps is {steps}: give 1 to 1000"):
        ddim_timesteps(steps)


class PerfectDenoiser:
    """Returns the true v of its image, and keeps the timesteps of its calls."""

    def __init__(self, x0: Tensor):
        self.x0 = x0
        self.timesteps: list[int] = []

    def __call__(self, x: Tensor, t: int) -> Tensor:
        self.timesteps.append(t)
        alpha_bar = float(SCHEDULE.alpha_bar[t])
        return (alpha_bar**0.5 * x - self.x0) / (1 - alpha_bar) ** 0.5


@examples(25)
@given(seeds, st.integers(1, 60))
def test_a_perfect_denoiser_gives_the_image(seed, steps):
    """From any noise and in any number of steps, the clean ending returns x0, with one evaluation a timestep."""
    denoiser = PerfectDenoiser(normal(seed))
    result = ddim_sample(denoiser, normal(seed + 1), steps)
    torch.testing.assert_close(result, denoiser.x0, rtol=1e-6, atol=1e-6)
    assert denoiser.timesteps == ddim_timesteps(steps)


def test_the_upstream_ending_leaves_the_noise_of_timestep_zero():
    """The authors' last step goes to alpha_bar[0], which leaves a little noise."""
    x0 = torch.zeros(SHAPE, dtype=torch.float64)
    noise = normal(0)
    result = ddim_sample(PerfectDenoiser(x0), noise, 30, ending="upstream")
    start = float(SCHEDULE.alpha_bar[991])
    torch.testing.assert_close(result, noise / (1 - start) ** 0.5 * (1 - 0.99915) ** 0.5, rtol=1e-6, atol=1e-9)


def test_an_unknown_ending_is_refused():
    with pytest.raises(ValueError, match="ending is 'soft': give 'clean' or 'upstream'"):
        ddim_sample(PerfectDenoiser(normal(0)), normal(1), 2, ending="soft")  # pyright: ignore[reportArgumentType]


def test_the_callback_sees_every_step_and_can_stop_the_run():
    """Progress bars, previews and interruption use it."""
    seen = []

    class Interrupted(Exception):
        pass

    def callback(step: int, steps: int, x0: Tensor) -> None:
        seen.append((step, steps, x0.shape))
        if step == 2:
            raise Interrupted

    denoiser = PerfectDenoiser(normal(0))
    with pytest.raises(Interrupted):
        ddim_sample(denoiser, normal(1), 30, callback=callback)
    assert seen == [(step, 31, SHAPE) for step in range(3)]
    assert len(denoiser.timesteps) == 3, "nothing is evaluated after the interruption"


class CountingUNet:
    """A stand-in for the network: v is 1 with a reference and 0 without. It counts its evaluations."""

    def __init__(self):
        self.embedded: list[dict] = []
        self.evaluations = 0

    def embed(self, **conditions) -> float:
        self.embedded.append(conditions)
        return float("reference_latent" in conditions)

    def denoise(self, x: Tensor, t: Tensor, conditions: float) -> Tensor:
        assert t.shape == (len(x),)
        self.evaluations += 1
        return torch.full_like(x, conditions)


@pytest.mark.parametrize(("scale", "evaluations"), [(1, 31), (1.0, 31), (2.5, 62), (0, 62)])
def test_guidance_doubles_the_evaluations_of_a_run(scale, evaluations):
    """Scale 1 costs one pass a step, any other scale two. Conditions are embedded once a clip."""
    unet = CountingUNet()
    denoiser = guided(unet, {"reference_latent": normal(0)}, normal(1), scale)  # pyright: ignore[reportArgumentType]
    ddim_sample(denoiser, normal(2), 30)
    assert unet.evaluations == evaluations
    assert len(unet.embedded) <= 2


def test_guidance_extrapolates_from_the_text_alone():
    """v_uncond + s (v_cond - v_uncond), where the unconditional pass has no image, pose or reference."""
    unet = CountingUNet()
    text = normal(1)
    denoiser = guided(unet, {"reference_latent": normal(0)}, text, 2.5)  # pyright: ignore[reportArgumentType]
    assert (denoiser(normal(2), 500) == 2.5).all()
    assert any(set(conditions) == {"text"} and conditions["text"] is text for conditions in unet.embedded)


def noise_of(seed: int, frames: int, offset: float) -> Tensor:
    return starting_noise((1, 4, frames, 8, 8), torch.Generator().manual_seed(seed), offset)


@given(seeds, st.floats(0, 1))
def test_the_same_seed_gives_the_same_noise(seed, offset):
    assert torch.equal(noise_of(seed, 3, offset), noise_of(seed, 3, offset))
    assert not torch.equal(noise_of(seed, 3, offset), noise_of(seed + 1, 3, offset))


@given(seeds, st.integers(1, 6), st.integers(1, 6))
def test_a_longer_clip_begins_with_the_same_noise(seed, frames, more):
    """A clip can be made longer without changing its beginning."""
    assert torch.equal(noise_of(seed, frames + more, 0)[:, :, :frames], noise_of(seed, frames, 0))


def test_offset_noise_shifts_each_frame_and_channel_as_a_whole():
    """It adds 0.1 times one normal number for each frame and channel to standard normal noise."""
    shift = noise_of(0, 200, 0.1) - noise_of(0, 200, 0)
    assert shift.flatten(3).std(-1).max() < 1e-6
    assert shift.std() == pytest.approx(0.1, rel=0.1)
    assert noise_of(0, 200, 0).std() == pytest.approx(1, rel=0.02)


@given(seeds)
def test_noise_prior_at_the_last_timestep_is_the_noise(seed):
    """At zero terminal SNR nothing of the reference is left."""
    noise = normal(seed)
    torch.testing.assert_close(noise_prior(normal(seed + 1, (1, 4, 1, 4, 2)), noise, 999), noise)


@pytest.mark.parametrize("t", [-1, 1000])
def test_an_impossible_noise_prior_is_refused(t):
    """A negative index would silently count from the other end of the schedule."""
    with pytest.raises(ValueError, match=f"timestep is {t}: give 0 to 999"):
        noise_prior(normal(0, (1, 4, 1, 4, 2)), normal(1), t)
