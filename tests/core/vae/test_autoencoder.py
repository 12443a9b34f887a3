"""VAEs of both forms serve for training."""

from __future__ import annotations

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

from unianimate_core.checkpoint import CheckpointError
from unianimate_core.diffusion import LATENT_SCALE
from unianimate_core.vae.autoencoder import open_autoencoder
from unianimate_core.vae.tiny import TinyVAE, load_tiny_vae


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(1, 3, 2, 64, 64, generator=torch.Generator().manual_seed(0))


def kl_vae(levels: int = 4, channels: int = 4) -> AutoencoderKL:
    torch.manual_seed(0)
    return AutoencoderKL(
        block_out_channels=(32,) * levels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        layers_per_block=2,
        latent_channels=channels,
    ).eval()


def test_stable_diffusions_vae_encodes_to_the_mean_in_latent_units(tmp_path, images):
    """Images in [0, 1] on our side, in [-1, 1] on its; and the same back."""
    kl = kl_vae()
    save_file(kl.state_dict(), tmp_path / "kl.safetensors")
    vae = open_autoencoder(tmp_path / "kl.safetensors")
    latents = vae.encode(images)
    assert latents.shape == (1, 4, 2, 8, 8)
    with torch.no_grad():
        mean = kl.encode(2 * images[:, :, 1] - 1).latent_dist.mean
        decoded = (kl.decode(mean).sample + 1) / 2
    torch.testing.assert_close(latents[:, :, 1], LATENT_SCALE * mean)
    torch.testing.assert_close(vae.decode(latents)[:, :, 1], decoded, rtol=1e-4, atol=1e-4)


def test_stable_diffusions_vae_takes_one_frame_at_a_time(tmp_path, images, monkeypatch):
    """16 frames of 512x768 at once would not fit beside the network on most cards."""
    save_file(kl_vae().state_dict(), tmp_path / "kl.safetensors")
    sizes = []
    for name in ("encode", "decode"):
        code = getattr(AutoencoderKL, name)
        monkeypatch.setattr(AutoencoderKL, name, lambda self, x, code=code: sizes.append(len(x)) or code(self, x))
    vae = open_autoencoder(tmp_path / "kl.safetensors")
    vae.decode(vae.encode(images))
    assert sizes == [1] * 4


def test_a_vae_with_the_older_names_of_attention_is_the_same(tmp_path, images):
    """As sd-vae-ft-mse is published for download."""
    tensors = kl_vae().state_dict()
    save_file(tensors, tmp_path / "new.safetensors")
    names = {".to_q.": ".query.", ".to_k.": ".key.", ".to_v.": ".value.", ".to_out.0.": ".proj_attn."}
    for new, old in names.items():
        tensors = {name.replace(new, old): tensor for name, tensor in tensors.items()}
    assert "encoder.mid_block.attentions.0.proj_attn.weight" in tensors
    save_file(tensors, tmp_path / "old.safetensors")
    old, new = (open_autoencoder(tmp_path / f"{age}.safetensors") for age in ("old", "new"))
    assert old.encode(images).equal(new.encode(images))


def test_the_tiny_vae_serves_and_only_its_encoder_makes_another_of_it(tmp_path, images):
    """A decoder that was trained further goes on with the same latents."""
    torch.manual_seed(0)
    tensors = TinyVAE().state_dict()
    save_file(tensors, tmp_path / "vae.safetensors")
    vae = open_autoencoder(tmp_path / "vae.safetensors")
    assert vae.encode(images).dtype == torch.float32
    assert vae.decode(vae.encode(images)).shape == images.shape
    identities = set()
    for part in ("taesd_decoder.1.weight", "taesd_encoder.0.weight"):
        save_file(tensors | {part: tensors[part] + 1}, tmp_path / "other.safetensors")
        identities.add(open_autoencoder(tmp_path / "other.safetensors").identity)
    assert len(identities) == 2
    assert vae.identity in identities


@pytest.mark.parametrize("native", [True, False])
def test_an_exact_vae_is_the_tiny_one_within_rounding(tmp_path, images, monkeypatch, native):
    """Training encodes in bf16 on a CPU that computes in bf16, and benchmarks must not depend on that."""
    monkeypatch.setattr("unianimate_core.vae.autoencoder.cpu_has_bf16", lambda: native)
    torch.manual_seed(0)
    save_file(TinyVAE().state_dict(), tmp_path / "vae.safetensors")
    exact, quick = (open_autoencoder(tmp_path / "vae.safetensors", exact=choice) for choice in (True, False))
    vae = load_tiny_vae(tmp_path / "vae.safetensors")
    latents = vae.encode(images)
    torch.testing.assert_close(exact.encode(images), latents, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(exact.decode(latents), vae.decode(latents), atol=1e-5, rtol=1e-5)
    assert ((quick.encode(images) - latents).abs().max() > 1e-3) == native


@pytest.mark.parametrize(
    "tensors",
    [{"a.weight": torch.zeros(2)}, kl_vae(channels=16).state_dict(), kl_vae(levels=3).state_dict()],
    ids=["no VAE", "16 channels", "three levels"],
)
def test_another_file_is_refused(tmp_path, tensors):
    """In a sentence, not by an error within PyTorch."""
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(CheckpointError, match=r"a\.safetensors is no VAE that is known here"):
        open_autoencoder(tmp_path / "a.safetensors")
