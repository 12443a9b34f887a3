"""The ablation with a network of its own for the reference image."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from benchmarks.comparison.separate_reference import SeparateReferenceUNet, load_network, metadata_of_separate
from tests.support.tiny_network import TINY
from unianimate_core.checkpoint import CheckpointError
from unianimate_core.diffusion import guided


def test_a_separate_reference_network_starts_without_effect_and_can_learn_one(separate):
    """Its last layers are zero; what they are multiplied with is the reference."""
    x, text = torch.randn(1, 4, 3, 8, 8), torch.zeros(1, 77, TINY.context_dim)
    reference, pose = torch.randn(1, 4, 1, 8, 8), torch.rand(1, 3, 1, 64, 64)
    t = torch.tensor([500])
    without = separate(x, t, text=text)
    assert torch.equal(separate(x, t, text=text, reference_latent=reference, reference_pose=pose), without)

    trained = SeparateReferenceUNet(TINY).eval()
    trained(x, t, text=text, reference_latent=reference).square().mean().backward()
    assert all(
        out.weight.grad is not None and out.weight.grad.abs().sum() > 0 for out in trained.reference_network.outs
    )
    with torch.no_grad():
        for out in trained.reference_network.outs:
            out.weight.normal_(0, 0.1)
        results = [
            trained(x, t, text=text, reference_latent=r, reference_pose=p)
            for r, p in ((reference, None), (reference, pose), (2 * reference, pose))
        ]
    assert not torch.allclose(results[0], results[1])
    assert not torch.allclose(results[1], results[2])


def test_a_separate_reference_network_is_sampled_as_the_unified_one(separate, checkpoints):
    """The same guidance and sampler take it, and it is what was saved."""
    loaded = load_network(checkpoints / "separate.safetensors")
    x, text = torch.randn(1, 4, 3, 8, 8), torch.zeros(1, 77, TINY.context_dim)
    conditions = {"reference_latent": torch.randn(1, 4, 1, 8, 8), "pose": torch.rand(1, 3, 3, 64, 64)}
    v = guided(loaded, conditions, text, 2.0)(x, 500)
    torch.testing.assert_close(v, guided(separate, conditions, text, 2.0)(x, 500), rtol=1e-4, atol=1e-4)
    assert type(load_network(checkpoints / "unified.safetensors")) is not SeparateReferenceUNet


def test_a_separate_reference_network_of_other_tensors_is_refused(separate, tmp_path):
    tensors = separate.state_dict()
    tensors.pop("head.conv.weight")
    save_file(tensors, tmp_path / "part.safetensors", metadata=metadata_of_separate(TINY))
    with pytest.raises(CheckpointError, match=r"part\.safetensors does not fit its own configuration"):
        load_network(tmp_path / "part.safetensors")
