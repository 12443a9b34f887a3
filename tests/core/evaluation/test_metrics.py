"""L1, PSNR, PSNR* and SSIM against formulas and scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor

from unianimate_core.evaluation.metrics import FRAME_METRICS, l1, l1_published, psnr, psnr_published, psnr_star, ssim


def as_frames(images: np.ndarray) -> Tensor:
    """uint8 f h w 3 to f 3 h w in [0, 1]."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


def similar_images(seed: int, frames: int = 3, height: int = 24, width: int = 33) -> tuple[np.ndarray, np.ndarray]:
    """Soft images, and the same with noise of up to 60 levels."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(256, size=(frames, height // 3 + 1, width // 3 + 1, 3))
    truth = coarse.repeat(3, axis=1).repeat(3, axis=2)[:, :height, :width]
    result = np.clip(truth + generator.integers(-60, 61, size=truth.shape), 0, 255)
    return result.astype(np.uint8), truth.astype(np.uint8)


@pytest.fixture(params=range(3))
def images(request):
    return similar_images(request.param)


def test_l1_is_the_mean_absolute_difference(images):
    result, truth = images
    expected = np.abs(result.astype(float) - truth.astype(float)).mean((1, 2, 3)) / 255
    np.testing.assert_allclose(l1(*map(as_frames, images)), expected, rtol=1e-6)


def test_psnr_agrees_with_scikit_image(images):
    """scikit-image widens 8-bit arrays before it subtracts them."""
    result, truth = images
    expected = [peak_signal_noise_ratio(b, a) for a, b in zip(result, truth, strict=True)]
    np.testing.assert_allclose(psnr(*map(as_frames, images)), expected, rtol=1e-12)


def test_psnr_star_is_psnr_on_frames_read_from_files(images):
    result, truth = map(as_frames, images)
    torch.testing.assert_close(psnr_star(result, truth), psnr(result, truth), rtol=1e-6, atol=0)


def test_psnr_rounds_to_8_bits_and_psnr_star_does_not():
    """A third of a level is lost in an 8-bit file, and is 1/765 in float."""
    truth = torch.full((1, 3, 8, 8), 100 / 255, dtype=torch.float64)
    result = truth + 1 / (3 * 255)
    assert psnr(result, truth).item() == math.inf
    assert psnr_star(result, truth).item() == pytest.approx(20 * math.log10(3 * 255), rel=1e-12)


def test_a_difference_of_one_level_is_48_decibels():
    truth = torch.full((2, 3, 8, 8), 0.5).mul(255).round() / 255
    result = truth + 1 / 255
    for metric in (psnr, psnr_star):
        assert metric(result, truth).tolist() == pytest.approx([20 * math.log10(255)] * 2, rel=1e-5)


@pytest.mark.parametrize("level", [0, 100, 255])
def test_large_differences_do_not_wrap_around(level):
    """Black against white is 0 dB. Subtracting 8-bit arrays, as published code did, gives 48 dB."""
    black, other = torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), level / 255)
    expected = math.inf if level == 0 else 20 * math.log10(255 / level)
    for result, truth in ((black, other), (other, black)):
        assert psnr(result, truth).item() == pytest.approx(expected, rel=1e-6)


def test_psnr_published_wraps_as_8_bit_arrays_do(images):
    """It reproduces columns that were computed with this overflow."""
    result, truth = images
    error = ((result - truth) ** 2).mean((1, 2, 3))  # uint8 throughout, wrapping twice
    expected = 20 * np.log10(255 / np.sqrt(error))
    np.testing.assert_allclose(psnr_published(*map(as_frames, images)), expected, rtol=1e-12)


def test_psnr_published_cannot_fall_below_24_decibels():
    """It rates even unrelated images as similar."""
    generator = np.random.default_rng(0)
    unrelated = [as_frames(generator.integers(256, size=(4, 32, 32, 3), dtype=np.uint8)) for _ in range(2)]
    assert psnr(*unrelated).max() < 8
    assert psnr_published(*unrelated).min() > 24.04
    assert psnr_published(unrelated[0], unrelated[0]).tolist() == [100.0] * 4


def test_l1_published_depends_on_the_size_of_the_image():
    """17.4 gray levels at 256x256 are the paper's 2.66E-04."""
    result, truth = torch.full((1, 3, 256, 256), 17 / 255), torch.zeros(1, 3, 256, 256)
    assert l1_published(result, truth).item() == pytest.approx(17 / 256**2, rel=1e-12)
    assert l1_published(result[..., :128], truth[..., :128]).item() == pytest.approx(17 / (256 * 128), rel=1e-12)


@pytest.mark.parametrize("size", [(7, 7), (24, 33), (64, 48)])
def test_ssim_agrees_with_scikit_image(size):
    """With scikit-image's defaults, which the published tables used, on the same gray images."""
    result, truth = similar_images(0, 2, *size)
    gray = [images / 255 @ (0.299, 0.587, 0.114) for images in (result, truth)]
    expected = [structural_similarity(a, b, data_range=1) for a, b in zip(*gray, strict=True)]
    np.testing.assert_allclose(ssim(as_frames(result), as_frames(truth)), expected, rtol=0, atol=1e-6)


def test_ssim_refuses_images_smaller_than_its_window():
    with pytest.raises(ValueError, match=r"frames are 8x6 \(width x height\), SSIM needs at least 7x7"):
        ssim(torch.zeros(1, 3, 6, 8), torch.zeros(1, 3, 6, 8))


@given(st.integers(0, 2**32 - 1))
def test_equal_frames_are_perfect(seed):
    frames = as_frames(np.random.default_rng(seed).integers(256, size=(2, 8, 9, 3), dtype=np.uint8))
    perfect = {"l1": 0, "psnr": math.inf, "psnr_star": math.inf, "ssim": 1, "l1_published": 0, "psnr_published": 100}
    for name, metric in FRAME_METRICS.items():
        assert metric(frames, frames).tolist() == pytest.approx([perfect[name]] * 2, abs=1e-12), name


@given(st.integers(0, 2**32 - 1))
def test_every_metric_is_symmetric(seed):
    result, truth = map(as_frames, similar_images(seed, 2, 9, 8))
    for name, metric in FRAME_METRICS.items():
        torch.testing.assert_close(metric(result, truth), metric(truth, result), msg=name)


def test_each_frame_is_measured_alone():
    """A bad frame must not affect its neighbors."""
    result, truth = map(as_frames, similar_images(0, 3))
    for metric in FRAME_METRICS.values():
        alone = torch.cat([metric(a, b) for a, b in zip(result.split(1), truth.split(1), strict=True)])
        torch.testing.assert_close(metric(result, truth), alone)
