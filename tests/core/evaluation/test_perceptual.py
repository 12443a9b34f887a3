"""LPIPS with made-up backbone weights. Proves the loading and the input range, not its values."""

from __future__ import annotations

import sys

import pytest
import torch

from tests.core.evaluation.stand_ins import entry_of
from unianimate_core.evaluation import weights
from unianimate_core.evaluation.perceptual import PerceptualDistance

torchvision = pytest.importorskip("torchvision")
lpips = pytest.importorskip("lpips")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A backbone as PyTorch publishes them, with random weights."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    features = torchvision.models.alexnet().features
    tensors = {f"features.{name}": tensor for name, tensor in features.state_dict().items()}
    torch.save(tensors | {"classifier.6.bias": torch.zeros(1000)}, folder / "alexnet-owt-7be5be79.pth")
    return folder


@pytest.fixture
def distance(folder, monkeypatch):
    monkeypatch.setitem(weights.BACKBONES, "alex", entry_of(folder / "alexnet-owt-7be5be79.pth", "LPIPS"))
    return PerceptualDistance("alex", folder)


def frames(seed: int, count: int = 2) -> torch.Tensor:
    return torch.rand(count, 3, 48, 64, generator=torch.Generator().manual_seed(seed))


def test_the_backbone_has_the_weights_of_the_file(distance, folder):
    """With random weights the values would be wrong without an error."""
    published = torch.load(folder / "alexnet-owt-7be5be79.pth")
    own = distance.network.net.state_dict()
    assert len(own) == 10
    for name, tensor in own.items():
        assert torch.equal(tensor, published[f"features.{name.split('.', 1)[1]}"])


def test_the_linear_weights_come_from_the_package(distance):
    """Trained on human judgments, they are not negative."""
    assert all(
        (layer.model[1].weight >= 0).all() and layer.model[1].weight.sum() > 0 for layer in distance.network.lins
    )


def test_equal_frames_are_at_distance_0_and_others_are_not(distance):
    assert distance(frames(0), frames(0)).tolist() == [0, 0]
    assert (distance(frames(0), frames(1)) > 0).all()


def test_the_network_gets_frames_between_minus_one_and_one(distance):
    """The published tables used 0 to 1, which is another metric."""
    expected = distance.network(2 * frames(0) - 1, 2 * frames(1) - 1).flatten().double()
    torch.testing.assert_close(distance(frames(0), frames(1)), expected, rtol=1e-5, atol=1e-7)


def test_frames_that_are_too_small_are_refused(distance):
    with pytest.raises(ValueError, match=r"frames are 31x64 \(width x height\), LPIPS needs at least 32x32"):
        distance(torch.zeros(1, 3, 64, 31), torch.zeros(1, 3, 64, 31))
    assert distance(torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32)).item() == 0


@pytest.mark.parametrize("backbone", ["vgg", "alex"])
def test_a_missing_backbone_is_named_with_its_folder_and_source(tmp_path, backbone):
    file = weights.BACKBONES[backbone]
    message = rf"LPIPS needs {file.name} .* is not in {tmp_path}: download it from https://download\.pytorch\.org/"
    with pytest.raises(FileNotFoundError, match=message):
        PerceptualDistance(backbone, tmp_path)


def test_a_damaged_download_is_refused(tmp_path):
    (tmp_path / "vgg16-397923af.pth").write_bytes(b"half of it")
    with pytest.raises(ValueError, match=r"is not the published vgg16-397923af\.pth \(553,433,881 bytes"):
        PerceptualDistance("vgg", tmp_path)


def test_published_names_contain_the_beginning_of_the_hash():
    """PyTorch's own check of a download."""
    for file in weights.BACKBONES.values():
        assert file.sha256.startswith(file.name.removesuffix(".pth").rsplit("-", 1)[1])


def test_without_the_package_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(ImportError, match=r'pip install -e "\.\[evaluation\]"'):
        PerceptualDistance("vgg", tmp_path)


def test_an_unknown_backbone_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the LPIPS network is 'squeeze': give 'vgg' or 'alex'"):
        PerceptualDistance("squeeze", tmp_path)  # pyright: ignore[reportArgumentType]
