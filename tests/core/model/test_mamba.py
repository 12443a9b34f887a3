"""The temporal Mamba: its mixer, its block, and the network built of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tests.support.mamba import mamba_config, mamba_unet
from tests.support.on_demand import give_weights, host_operations
from tests.support.recorded import conditions, latents, tensor, text
from tests.support.scan import by_definition
from unianimate_core.config import RELEASED, MambaConfig
from unianimate_core.model import UNet
from unianimate_core.model.backend import Backend
from unianimate_core.model.mamba import FULL_PRECISION, BidirectionalMamba, MambaBlock

FAMILY = {
    "in_proj.weight": (1280, 320),
    "conv1d.weight": (640, 1, 4),
    "conv1d.bias": (640,),
    "x_proj.weight": (52, 640),
    "dt_proj.weight": (640, 20),
    "dt_proj.bias": (640,),
    "A_log": (640, 16),
    "D": (640,),
    "conv1d_b.weight": (640, 1, 4),
    "conv1d_b.bias": (640,),
    "x_proj_b.weight": (52, 640),
    "dt_proj_b.weight": (640, 20),
    "dt_proj_b.bias": (640,),
    "A_b_log": (640, 16),
    "D_b": (640,),
    "out_proj.weight": (320, 640),
}


def mixer_of(width: int = 24, **settings) -> BidirectionalMamba:
    torch.manual_seed(0)
    return BidirectionalMamba(width, **settings).requires_grad_(False)


def written_out(weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """The mixer in double precision, with explicit sums for the convolution and reversed frames."""
    w = {name: value.double() for name, value in weights.items()}
    inner = w["D"].shape[0]
    x, z = (x.double() @ w["in_proj.weight"].T).split(inner, dim=-1)
    y = torch.zeros_like(x)
    for end, turned in (("", False), ("_b", True)):
        s = x.flip(1) if turned else x
        taps = w[f"conv1d{end}.weight"][:, 0]
        padded = F.pad(s, (0, 0, taps.shape[1] - 1, 0))
        u = sum(taps[:, i] * padded[:, i : i + s.shape[1]] for i in range(taps.shape[1])) + w[f"conv1d{end}.bias"]
        u = u * u.sigmoid()
        rank, states = w[f"dt_proj{end}.weight"].shape[1], w["A_log"].shape[1]
        r, B, C = (u @ w[f"x_proj{end}.weight"].T).split([rank, states, states], dim=-1)
        delta = torch.log1p((r @ w[f"dt_proj{end}.weight"].T + w[f"dt_proj{end}.bias"]).exp())
        A = -w["A_b_log" if turned else "A_log"].exp()
        scanned = by_definition({"u": u, "delta": delta, "A": A, "B": B, "C": C, "D": w[f"D{end}"]}, reverse=False)
        y = y + (scanned.flip(1) if turned else scanned)
    return (y * z * z.sigmoid()) @ w["out_proj.weight"].T


def test_its_parameters_have_the_names_and_shapes_of_vision_mamba():
    """State dicts of Vision Mamba must load."""
    assert {name: tuple(x.shape) for name, x in BidirectionalMamba(320).state_dict().items()} == FAMILY


def test_a_new_mixer_has_the_decays_and_steps_of_the_papers():
    mixer = BidirectionalMamba(48)
    for A_log, D, dt_proj in ((mixer.A_log, mixer.D, mixer.dt_proj), (mixer.A_b_log, mixer.D_b, mixer.dt_proj_b)):
        torch.testing.assert_close(A_log.exp(), torch.arange(1.0, 17.0).expand(96, 16))
        assert (D == 1).all()
        assert dt_proj.weight.abs().max() <= 3**-0.5
        steps = F.softplus(dt_proj.bias)
        assert 1e-3 * 0.999 <= steps.min() < 5e-3
        assert 0.05 < steps.max() <= 0.1 * 1.001


@pytest.mark.parametrize("settings", [{}, {"expand": 1}, {"d_state": 5, "d_conv": 3, "expand": 3}])
@pytest.mark.parametrize("frames", [1, 2, 17])
def test_the_mixer_agrees_with_its_definition(settings, frames):
    mixer = mixer_of(**settings)
    x = tensor("mixer", (3, frames, 24))
    expected = written_out(mixer.state_dict(), x)
    assert (mixer(x) - expected).abs().max() / expected.abs().max() < 1e-5


def test_the_mixer_takes_an_empty_batch_and_strided_input():
    mixer = mixer_of()
    assert mixer(torch.empty(0, 5, 24)).shape == (0, 5, 24)
    x = tensor("mixer", (5, 3, 24)).transpose(0, 1)
    torch.testing.assert_close(mixer(x), mixer(x.contiguous()))


def test_reversing_time_exchanges_the_two_directions():
    """Both directions compute the same, so neither end of a clip is favored."""
    partner = {"A_log": "A_b_log", "D": "D_b"}
    partner |= {name.replace("_b.", "."): name for name in FAMILY if "_b." in name}
    partner |= {backward: forward for forward, backward in partner.items()}
    mixer, exchanged = mixer_of(), mixer_of()
    exchanged.load_state_dict({partner.get(name, name): value for name, value in mixer.state_dict().items()})
    x = tensor("mixer", (2, 7, 24))
    torch.testing.assert_close(exchanged(x), mixer(x.flip(1)).flip(1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays_close(dtype):
    mixer = mixer_of()
    x = tensor("mixer", (2, 33, 24))
    expected = mixer(x)
    half = mixer_of().to(dtype)
    difference = (half(x.to(dtype)).float() - expected).norm() / expected.norm()
    assert difference < 8 * torch.finfo(dtype).eps


# -- the block --------------------------------------------------------------------------------------------------------


def block_of(keep_ff: bool = False, **settings) -> MambaBlock:
    torch.manual_seed(0)
    return MambaBlock(32, MambaConfig(expand=2, keep_ff=keep_ff), Backend(**settings)).requires_grad_(False)


def test_a_closed_gate_returns_the_input():
    """With alpha 0 an untrained mixer changes nothing."""
    block = block_of()
    block.alpha.zero_()
    x = tensor("block", (1, 5, 6, 32))
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("keep_ff", [False, True])
def test_the_block_is_gated_mixer_then_feed_forward(keep_ff):
    block = block_of(keep_ff)
    x = tensor("block", (1, 5, 3, 32))
    at_one_place = x[:, :, 1]
    expected = at_one_place + block.alpha.tanh() * block.mixer(block.norm1(at_one_place))
    if block.feed_forward is not None and block.norm2 is not None:
        expected = expected + block.feed_forward(block.norm2(expected))
    torch.testing.assert_close(block(x)[:, :, 1], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("split_bytes", [1, 20_000])
def test_places_in_pieces_give_the_same(split_bytes):
    x = tensor("block", (2, 5, 7, 32))
    torch.testing.assert_close(block_of(split_bytes=split_bytes)(x), block_of()(x), rtol=1e-5, atol=1e-6)


def test_the_block_compiles_without_a_graph_break():
    block = block_of(keep_ff=True)
    x = tensor("block", (1, 5, 4, 32))
    compiled = torch.compile(block, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(x), block(x))


# -- the network ------------------------------------------------------------------------------------------------------


def test_all_17_temporal_modules_change():
    config = dataclasses.replace(RELEASED, mamba=MambaConfig(expand=2, keep_ff=False))
    names = [name for name, _ in UNet(config, device="meta").named_modules()]
    assert sum(name.endswith("temporal") for name in names) == 17
    assert sum(name.endswith("temporal.block.mixer") for name in names) == 17
    assert not any("temporal.block.attention" in name for name in names)


@pytest.mark.parametrize("frames", [1, 3])
@torch.no_grad()
def test_the_network_predicts(frames):
    given = conditions(["image", "pose", "reference_latent"], "", frames, 128, 64)
    v = mamba_unet()(latents("x", frames, 128, 64), torch.tensor([941]), text=text(), **given)
    assert v.shape == (1, 4, frames, 16, 8)
    assert v.isfinite().all()


def test_only_layers_and_full_precision_parameters_hold_weights():
    """A host loads the weights of layers on demand. It loads the parameters outside layers at once."""
    layers = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.GroupNorm, nn.LayerNorm)
    unet = UNet(mamba_config(), operations=host_operations(*layers), device="meta").eval()
    assert {name.rsplit(".", 1)[-1] for name in unet.state_dict()} == set(FULL_PRECISION)
    expected = mamba_unet()
    give_weights(unet, expected)
    raw = {name: x for name, x in expected.state_dict().items() if name.rsplit(".", 1)[-1] in FULL_PRECISION}
    unet.load_state_dict(raw, strict=False, assign=True)
    x, t = latents("x", 2, 128, 64), torch.tensor([941])
    with torch.no_grad():
        assert torch.equal(unet(x, t, text=text()), expected(x, t, text=text()))


def test_gradients_reach_every_parameter():
    unet = UNet(mamba_config())
    given = conditions(["image", "pose", "reference_pose", "reference_latent", "first_frame"], "", 2, 128, 64)
    unet(latents("x", 2, 128, 64), torch.tensor([941]), text=text(), **given).square().mean().backward()
    assert [name for name, parameter in unet.named_parameters() if parameter.grad is None] == []
