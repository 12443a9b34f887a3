"""The network can be trained: gradients are right through everything that saves memory in sampling."""

from __future__ import annotations

import pytest
import torch

from tests.support.training import FRAMES, SIZE, inputs, make_unet, plain_unet
from unianimate_core.model import UNet
from unianimate_core.training.network import cpu_layers
from unianimate_core.training.network.drawn_poses import first_pose_layer


def gradients(unet: UNet, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    x, t, conditions = inputs(dtype)
    unet.zero_grad()
    (unet(x, t, **conditions) * torch.linspace(-1, 1, FRAMES, dtype=dtype)[:, None, None]).sum().backward()
    return {name: parameter.grad.clone() for name, parameter in unet.named_parameters()}  # pyright: ignore


def distance(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """The largest relative difference of a parameter's gradient. Skips gradients that are only rounding."""
    largest = max(float(gradient.norm()) for gradient in other.values())
    return max(
        float((one[name] - gradient).norm() / gradient.norm())
        for name, gradient in other.items()
        if gradient.norm() > 1e-6 * largest
    )


@pytest.fixture(scope="module")
def expected() -> dict[str, torch.Tensor]:
    return gradients(plain_unet(split_bytes=None))


def test_gradients_are_the_slopes_of_the_loss():
    """Compared with finite differences of the loss in double precision, along a direction of some parameters."""
    unet = plain_unet(split_bytes=None).double()
    unet.dtype = torch.float64
    x, t, conditions = inputs(torch.float64)
    found = gradients(unet, torch.float64)
    weights = torch.linspace(-1, 1, FRAMES, dtype=torch.float64)[:, None, None]

    def loss() -> float:
        with torch.no_grad():
            return float((unet(x, t, **conditions) * weights).sum())

    chosen = [
        "conditions.pose.conv1.weight",
        "conditions.reference_pose.mixer.qkv.weight",
        "conditions.image_tokens.linear1.bias",
        "stem.temporal.block.attention1.qkv.weight",
        "down.0.stages.0.residual.temporal_conv.stages.3.norm.weight",
        "middle.stage.spatial.block.cross_attention.kv.weight",
        "time1.weight",
        "head.conv.weight",
    ]
    parameters, step = dict(unet.named_parameters()), 1e-5
    for name in chosen:
        direction = torch.randn(parameters[name].shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        with torch.no_grad():
            parameters[name] += step * direction
            above = loss()
            parameters[name] -= 2 * step * direction
            below = loss()
            parameters[name] += step * direction
        slope = float((found[name] * direction).sum())
        assert (above - below) / (2 * step) == pytest.approx(slope, rel=1e-5, abs=1e-7), name


def test_splitting_wide_results_keeps_the_gradients(expected):
    """It saves memory in sampling, and stays on for attention on CUDA, whose kernels have limits."""
    assert distance(gradients(plain_unet(split_bytes=2**12)), expected) < 1e-4


def test_layers_for_cpus_keep_the_gradients(expected):
    unet = plain_unet(split_bytes=None, operations=cpu_layers, attention=cpu_layers.attention)
    assert distance(gradients(unet), expected) < 1e-4


def test_gradient_checkpointing_keeps_the_gradients_and_the_dropout():
    unet, saving = make_unet(dropout=0.3), make_unet(dropout=0.3)
    for parameter in unet.parameters():  # no branch may be zero
        torch.nn.init.normal_(parameter, std=0.1)
    saving.load_state_dict(unet.state_dict())
    saving.backend.gradient_checkpointing = True
    torch.manual_seed(3)
    plain = gradients(unet)
    torch.manual_seed(3)
    assert distance(gradients(saving), plain) < 1e-5


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("shape", [(3, 64, 5, 7), (1, 64, 3, 2), (2, 96, 4, 9)])
def test_group_norm_equals_pytorchs(shape, channels_last):
    norm = torch.nn.GroupNorm(32, shape[1], eps=1e-5)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    ours = cpu_layers.GroupNorm(32, shape[1], eps=1e-5)
    ours.load_state_dict(norm.state_dict())
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 3 + 1
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last)
    results = []
    for layer in (norm, ours):
        x_i = x.clone().requires_grad_()
        y = layer(x_i)
        y.square().sum().backward()
        results.append((y, x_i.grad, layer.weight.grad, layer.bias.grad))
    for theirs, mine in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=2e-3)


def test_group_norm_in_bf16_adds_up_in_fp32():
    """A sum of thousands of bfloat16 values in bfloat16 would lose all but the first few hundred."""
    x = torch.randn(2, 32, 64, 64, generator=torch.Generator().manual_seed(0)) + 5
    ours = cpu_layers.GroupNorm(32, 32)
    exact = torch.nn.functional.group_norm(x.double(), 32).float()
    assert (ours(x.bfloat16()).float() - exact).abs().mean() < 0.02


@pytest.mark.parametrize("limit", [cpu_layers.MAX_SCORES, 0])
def test_attention_equals_pytorchs(monkeypatch, limit):
    """With the whole matrix of scores, and with the fused kernel for larger ones."""
    monkeypatch.setattr(cpu_layers, "MAX_SCORES", limit)
    random = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(3, n, 32, generator=random) for n in (5, 7, 7))
    heads = [x.unflatten(-1, (2, 16)).transpose(1, 2) for x in (q, k, v)]
    expected = torch.nn.functional.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
    torch.testing.assert_close(cpu_layers.attention(q, k, v, 2), expected)


def test_the_first_layer_for_drawn_poses_equals_the_whole_convolution():
    """For poses at the border, two poses, and a black image; with its gradients."""
    conv = torch.nn.Conv2d(3, 8, 3, padding=1)
    x = torch.zeros(4, 3, 16, 12)
    x[0, 1, 5:9, 4:5] = 0.7
    x[1, 0, 0, :] = 1.0
    x[2, 2, 15, 11] = 0.2
    weights = torch.linspace(-1, 1, 4 * 8 * 8 * 6).view(4, 8, 8, 6)
    results = []
    for layer in (
        lambda x: torch.nn.functional.avg_pool2d(torch.nn.functional.silu(conv(x)), 2),
        lambda x: first_pose_layer(x, conv),
    ):
        conv.zero_grad()
        y = layer(x)
        (y * weights).sum().backward()
        results.append((y, conv.weight.grad.clone(), conv.bias.grad.clone()))
    for whole, drawn in zip(*results, strict=True):
        torch.testing.assert_close(drawn, whole, rtol=1e-4, atol=1e-5)


def test_training_on_a_cpu_uses_it_for_poses_but_not_for_images():
    unet = make_unet(dropout=0.0)
    plain = plain_unet(split_bytes=None)
    unet.load_state_dict(plain.state_dict())
    images = torch.zeros(1, 3, 2, SIZE, SIZE)
    images[:, :, :, 20:40, 20:30] = 0.5
    for name in ("pose", "reference_pose", "first_frame"):
        ours, theirs = getattr(unet.conditions, name), getattr(plain.conditions, name)
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-5)
        assert (ours.first_layer is first_pose_layer) == (name != "first_frame")
