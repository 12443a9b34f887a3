"""What holds a segment to the one before."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from unianimate_core.diffusion import Denoiser, ddim_sample
from unianimate_core.long_video.seams import Handover, Seams, crossfaded, held, join, with_colors_of


def normal(seed: int, frames: int) -> Tensor:
    return torch.randn((1, 4, frames, 3, 2), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(st.integers(1, 6))
def test_shared_frames_pass_from_one_segment_to_the_next(shared):
    """The frame that was shown already stays; each later one is less of the earlier segment's; the rest is new."""
    before, latents = normal(0, shared), normal(1, 8)
    result = crossfaded(latents, before)
    assert torch.equal(result[:, :, 0], before[:, :, 0])
    assert torch.equal(result[:, :, shared:], latents[:, :, shared:])
    for frame in range(1, shared):
        expected = before[:, :, frame] + frame / shared * (latents[:, :, frame] - before[:, :, frame])
        torch.testing.assert_close(result[:, :, frame], expected)


def test_a_change_of_color_is_undone_wholly():
    """Brightness and contrast that a segment changed by itself, in all of its frames, not in the shared one alone."""
    true = normal(0, 8)
    gain = torch.tensor([1.2, 0.9, 1.0, 0.85], dtype=torch.float64).view(1, 4, 1, 1, 1)
    wandered = true * gain + torch.tensor([0.5, -0.3, 0.1, 0.0], dtype=torch.float64).view(1, 4, 1, 1, 1)
    torch.testing.assert_close(with_colors_of(wandered, true[:, :, :2]), true)
    halfway = join(wandered, true[:, :, :1], Seams(match_colors=0.5))
    torch.testing.assert_close(halfway[:, :, 1:], torch.lerp(wandered, true, 0.5)[:, :, 1:])


def test_colors_stay_as_sampled_unless_asked():
    latents = normal(0, 8)
    assert torch.equal(join(latents, normal(1, 1), Seams())[:, :, 1:], latents[:, :, 1:])


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_another_image_in_the_shared_frame_does_not_blow_up_contrast(value):
    """A blank frame has no deviation to divide by; a frame of another image has one that means nothing."""
    latents = normal(0, 4)
    latents[:, :, 0] = value
    result = with_colors_of(latents, normal(1, 1))
    assert result.isfinite().all()
    deviation, before = (x[:, :, 1:].std((2, 3, 4)) for x in (result, latents))
    assert (deviation <= 1.26 * before).all()


@given(st.integers(1, 4))
def test_held_frames_come_out_as_they_were(shared):
    """Whatever the network says of them; it sees them at each step with the step's share of noise."""
    known, noise = normal(0, shared), normal(1, 6)
    seen = []

    def denoiser(x: Tensor, t: int) -> Tensor:
        seen.append(x[:, :, :shared].clone())
        return x

    result = ddim_sample(held(denoiser, known, noise[:, :, :shared]), noise, 5)
    free = ddim_sample(denoiser, noise, 5)
    torch.testing.assert_close(result[:, :, :shared], known)
    torch.testing.assert_close(result[:, :, shared:], free[:, :, shared:])
    distances = [float((x - known).norm()) for x in seen[:5]]
    assert distances == sorted(distances, reverse=True)


def test_the_other_frames_are_sampled_around_the_held_ones():
    """The network sees them, so that motion goes on from them."""

    def mean(x: Tensor, t: int) -> Tensor:
        return x.mean(dim=2, keepdim=True).expand_as(x)

    noise = normal(1, 4)
    results = [ddim_sample(held(mean, known, noise[:, :, :1]), noise, 3) for known in (normal(2, 1), normal(3, 1))]
    assert not torch.allclose(results[0][:, :, 1:], results[1][:, :, 1:])


def test_a_handover_keeps_no_other_frame_in_memory():
    """Nor is it changed by what is done to the segment later."""
    images = torch.rand(1, 3, 6, 8, 8)
    handover = Handover(images[:, :, -1:], images[:, :, -2:])
    assert handover.image.untyped_storage().nbytes() == 3 * 64 * 4
    assert handover.latents is not None
    assert handover.latents.is_contiguous()
    images.zero_()
    assert handover.image.any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shared_frames": 0}, "shared_frames is 0: give at least 1"),
        ({"match_colors": 1.5}, r"match_colors is 1.5: give 0 \(as sampled\) to 1"),
    ],
)
def test_impossible_seams_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Seams(**settings)


def test_denoisers_of_any_frames_can_be_held():
    """A first segment that is shorter than the shared frames has nothing left to sample."""
    known = normal(0, 2)
    denoiser: Denoiser = held(lambda x, t: x, known, normal(1, 2))
    torch.testing.assert_close(ddim_sample(denoiser, normal(1, 2), 3), known)
