"""Which optimizer moves which weights, and Muon's steps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.support.training import NETWORK, RUN, SETTINGS, equal, make_run, make_unet, newest
from unianimate_core.config import MambaConfig
from unianimate_core.training.loop.trainer import make_accelerator, train_run
from unianimate_core.training.optimizers.groups import make_optimizers
from unianimate_core.training.optimizers.muon import Muon, orthogonal
from unianimate_core.training.settings import TrainingError

MUON = replace(SETTINGS, optimizer="muon", learning_rate=0.01)


@pytest.mark.parametrize("settings", [SETTINGS, MUON])
@pytest.mark.parametrize("network", [NETWORK, replace(NETWORK, mamba=MambaConfig(expand=1, keep_ff=True))])
def test_every_weight_has_one_optimizer_and_decays_only_if_a_matrix(settings, network):
    parameters = dict(make_unet(network).named_parameters())
    optimizers = make_optimizers(parameters, settings)
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    taken = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(taken) == sorted(id(parameter) for parameter in parameters.values())
    decaying = {id(p) for group in groups if group.get("weight_decay") for p in group["params"]}
    for name, parameter in parameters.items():
        if parameter.ndim == 1 or name.endswith(("A_log", "A_b_log", "alpha")):
            assert id(parameter) not in decaying, name
    assert [type(optimizer).__name__ for optimizer in optimizers] == ["AdamW", "Muon"][: len(optimizers)]
    assert len(optimizers) == (2 if settings is MUON else 1)


def test_a_step_of_muon_is_equally_long_in_all_directions():
    """Its singular values are close to the learning rate, however different those of the gradient are."""
    random = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.zeros(16, 24))
    u, _, v = torch.linalg.svd(torch.randn(16, 24, generator=random), full_matrices=False)
    weight.grad = u @ torch.diag(torch.logspace(0, -2, 16)) @ v
    Muon([weight], lr=0.1).step()
    sizes = torch.linalg.svdvals(weight.detach())
    assert 0.04 < float(sizes.min()) <= float(sizes.max()) < 0.13


def test_stacked_layers_get_separate_steps():
    """Queries, keys and values share a weight, but are three layers."""
    random = torch.Generator().manual_seed(0)
    gradients = [torch.randn(8, 8, generator=random) * size for size in (1, 10, 100)]
    stacked, apart = torch.nn.Parameter(torch.zeros(24, 8)), [torch.nn.Parameter(torch.zeros(8, 8)) for _ in range(3)]
    stacked.grad = torch.cat(gradients)
    for parameter, gradient in zip(apart, gradients, strict=True):
        parameter.grad = gradient
    Muon([{"params": [stacked], "pieces": 3}], lr=0.1).step()
    Muon(apart, lr=0.1).step()
    torch.testing.assert_close(stacked.detach(), torch.cat([parameter.detach() for parameter in apart]))


def test_the_iteration_in_bf16_has_the_same_direction():
    matrices = torch.randn(2, 32, 48, generator=torch.Generator().manual_seed(0))
    exact, rough = orthogonal(matrices), orthogonal(matrices, torch.bfloat16)
    assert rough.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(exact.flatten(), rough.flatten(), dim=0) > 0.999


def test_a_run_with_muon_continues_bit_for_bit(tmp_path):
    for folder, steps in (("whole", (4,)), ("parts", (2, 4))):
        for end in steps:
            train_run(make_run(tmp_path / folder, MUON, replace(RUN, steps=end)), make_accelerator(MUON))
    assert equal(newest(tmp_path / "parts"), newest(tmp_path / "whole"))


def test_muon_in_fp16_is_refused():
    """It comes with AdamW, and a gradient scaler would divide the gradients of the second optimizer twice."""
    with pytest.raises(TrainingError, match="muon does not train in precision fp16: choose bf16 or fp32, or adamw"):
        replace(MUON, precision="fp16")
