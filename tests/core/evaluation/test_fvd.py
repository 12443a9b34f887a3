"""The Frechet distance against closed forms and scipy, and the network's wiring on a stand-in."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.core.evaluation.stand_ins import write_i3d
from tests.support.examples import examples
from unianimate_core.evaluation import fvd
from unianimate_core.evaluation.fvd import InflatedInception, frechet_distance, fvd_estimate


def by_definition(a: np.ndarray, b: np.ndarray) -> float:
    """The distance by the matrix square root of the product of both covariances."""
    covariances = [np.cov(features, rowvar=False) for features in (a, b)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root))


def normal(seed: int, count: int, width: int = 6) -> np.ndarray:
    """Features with a mean and a covariance of their own."""
    generator = np.random.default_rng(seed)
    return generator.normal(size=(count, width)) @ generator.normal(size=(width, width)) + generator.normal(size=width)


@examples(50)
@given(st.integers(0, 2**32 - 1), st.integers(8, 40), st.integers(8, 40))
def test_the_distance_agrees_with_scipy(seed, count, other_count):
    a, b = normal(seed, count), normal(seed + 1, other_count)
    assert frechet_distance(a, b) == pytest.approx(by_definition(a, b), rel=1e-6)


def test_the_distance_of_numbers_is_its_closed_form():
    """In one dimension: the squared differences of the means and of the standard deviations."""
    a, b = np.array([[1.0], [3.0], [5.0]]), np.array([[0.0], [10.0]])
    expected = (3 - 5) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)


def test_independent_features_add_up():
    """Diagonal covariances commute, so each feature contributes on its own."""
    a = np.array([[1, 0], [-1, 0], [0, 2], [0, -2]], dtype=float)
    b = np.array([[3.5, 0], [-2.5, 0], [0.5, 1], [0.5, -1]])
    spreads = a.std(0, ddof=1) - b.std(0, ddof=1)
    assert frechet_distance(a, b) == pytest.approx(0.25 + (spreads**2).sum(), rel=1e-12)


def test_the_distance_is_exact_for_fewer_clips_than_features():
    """With 50 videos and 400 features the covariance has no inverse, and sqrtm returns complex values.

    Embedding few features in a wider space must not change the distance.
    """
    a, b = normal(0, 5), normal(1, 4)
    wide = np.linalg.qr(np.random.default_rng(2).normal(size=(400, 6)))[0].T
    assert frechet_distance(a @ wide, b @ wide) == pytest.approx(frechet_distance(a, b), rel=1e-9)


@given(st.integers(0, 2**32 - 1), st.integers(2, 20))
def test_equal_sets_are_at_distance_0(seed, count):
    features = normal(seed, count)
    assert 0 <= frechet_distance(features, features) < 1e-9
    assert frechet_distance(features, features[::-1]) < 1e-9


def test_one_clip_has_no_distribution():
    with pytest.raises(ValueError, match="FVD needs at least 2 clips in each folder, there are 1: leave out fvd"):
        frechet_distance(normal(0, 1), normal(1, 5))


def test_the_estimate_draws_whole_videos_in_pairs():
    """A draw takes all clips of a video. The value comes from all clips."""
    results, truths = ([normal(seed + index, 2 + index % 3) for index in range(8)] for seed in (0, 100))
    estimate = fvd_estimate(results, truths, seed=0, draws=50, level=0.95)
    assert estimate.value == frechet_distance(np.concatenate(results), np.concatenate(truths))
    assert estimate.low < estimate.value < estimate.high
    assert estimate == fvd_estimate(results, truths, seed=0, draws=50, level=0.95)


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A folder with a made-up network instead of I3D."""
    monkeypatch.setattr(fvd, "I3D", write_i3d(tmp_path))
    return tmp_path


def test_the_network_sees_a_square_clip_between_minus_one_and_one(stand_in):
    """The original network's input. Its own rescaling and resizing must stay off."""
    clip = torch.zeros(16, 3, 40, 60)
    clip[..., 30:] = 1
    features = InflatedInception(stand_in)(clip)
    np.testing.assert_allclose(features, [3, 16, 224, 224, 0, 0, 1, -1, 1, 0], atol=1e-6)


def test_a_missing_network_is_named_with_its_folder_and_source(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=rf"FVD needs i3d_torchscript\.pt \(51 MB\), which is not in {tmp_path}"
    ):
        InflatedInception(tmp_path)


def test_another_file_of_that_name_is_never_opened(tmp_path):
    """TorchScript is code, so only the file with the published hash may run."""
    write_i3d(tmp_path)
    with pytest.raises(ValueError, match=r"is not the published i3d_torchscript\.pt .* download it again"):
        InflatedInception(tmp_path)
