"""Contracts of the network that hold whatever its weights are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.support import recorded as made_up
from tests.support.examples import examples
from tests.support.recorded import EVERYTHING, difference, tensor, text, tiny_config, tiny_unet, tiny_unet_with
from unianimate_core.model import Conditions, UNet
from unianimate_core.model.backend import Backend, scaled_dot_product_attention
from unianimate_core.model.conditions import FrameMixer, ImageEncoder, PoseRange
from unianimate_core.model.transformer import FeedForward, FrameAttention

T = torch.tensor([941])
FRAMES, HEIGHT, WIDTH = 3, 128, 64


def latents(frames: int = FRAMES) -> Tensor:
    return made_up.latents("x", frames, HEIGHT, WIDTH)


def conditions(names: Iterable[str], frames: int = FRAMES) -> dict[str, Tensor]:
    return made_up.conditions(names, "", frames, HEIGHT, WIDTH)


@torch.no_grad()
def predict(unet: UNet, **given: Tensor) -> Tensor:
    return unet(latents(), T, text=text(), **given)


@torch.no_grad()
def denoise(unet: UNet, embedded: Conditions, t: Tensor = T) -> Tensor:
    return unet.denoise(latents(), t, embedded)


# -- memory bounds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split_bytes", [1, 30_000])
def test_splitting_changes_nothing(split_bytes):
    """Places, tokens and images are independent, so a bound on memory must not show in the result."""
    given = conditions(EVERYTHING)
    whole = predict(tiny_unet_with(split_bytes=None), **given)
    error = difference(predict(tiny_unet_with(split_bytes=split_bytes), **given), whole)
    assert error < 1e-5


BOUND = 40_000
# How to make each module, and a shape it takes.
SPLITTERS = {
    "feed-forward": (lambda backend: FeedForward(32, backend), (2, 7, 32)),
    "frame attention": (lambda backend: FrameAttention(32, 2, backend), (2, 5, 7, 32)),
    "frame mixer": (lambda backend: FrameMixer(8, backend), (2, 8, 5, 3, 2)),
    "image encoder": (lambda backend: ImageEncoder(8, backend), (2, 3, 3, 16, 8)),
}


@examples(20)
@given(split_bytes=st.integers(1, 30_000), name=st.sampled_from(sorted(SPLITTERS)))
@torch.no_grad()
def test_each_piecewise_module_equals_the_whole(name, split_bytes):
    """Whatever the bound, also one below a single row and one that leaves a last piece of another size."""
    make, shape = SPLITTERS[name]
    whole, pieces = make(Backend(split_bytes=None)), make(Backend(split_bytes=split_bytes))
    pieces.load_state_dict(whole.state_dict())
    x = tensor(name, shape)
    torch.testing.assert_close(pieces(x), whole(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "widest"), [("feed-forward", "proj"), ("frame attention", "qkv")])
@torch.no_grad()
def test_pieces_stay_within_the_bound(name, widest):
    """The bound is what keeps 64 frames on a small card."""
    make, shape = SPLITTERS[name]
    module = make(Backend(split_bytes=BOUND))
    sizes: list[int] = []
    getattr(module, widest).register_forward_hook(lambda *call: sizes.append(call[-1].nbytes))
    module(tensor(name, (*shape[:-2], 101, shape[-1])))
    assert len(sizes) > 1
    assert max(sizes) <= BOUND


# -- conditions -------------------------------------------------------------------------------------------------------


def test_embedding_once_equals_embedding_at_each_step():
    """Samplers embed a clip once; the conditions must not depend on the noise or the timestep, nor wear out."""
    unet = tiny_unet()
    given = conditions(EVERYTHING)
    with torch.no_grad():
        embedded = unet.embed(text=text(), **given)
    for t in (T, torch.tensor([1]), T):
        with torch.no_grad():
            expected = unet(latents(), t, text=text(), **given)
        assert torch.equal(denoise(unet, embedded, t), expected)


def test_a_missing_condition_is_zeros():
    """Absent pose, first frame, reference and image contribute zeros: the unconditional pass is made of it."""
    unet = tiny_unet()
    with torch.no_grad():
        alone = unet.embed(text=text())
    assert (alone.pose, alone.first_frame, alone.reference) == (None, None, None)
    assert not alone.context[:, 77:].any()
    zeros = dataclasses.replace(
        alone,
        pose=torch.zeros(1, 8, 3, 16, 8),
        first_frame=torch.zeros(1, 8, 1, 16, 8),
        reference=torch.zeros(1, 12, 1, 16, 8),
    )
    assert torch.equal(denoise(unet, alone), denoise(unet, zeros))


def test_a_reference_pose_needs_a_reference():
    """Without a reference image there is nothing it could belong to."""
    unet = tiny_unet()
    given = conditions(["pose", "reference_pose"])
    assert torch.equal(predict(unet, **given), predict(unet, pose=given["pose"]))


@pytest.mark.parametrize("name", EVERYTHING)
def test_every_condition_counts(name):
    """One that is dropped on the way would go unnoticed in an image."""
    unet = tiny_unet()
    given = conditions(EVERYTHING)
    left_out = predict(unet, **{key: value for key, value in given.items() if key != name})
    assert difference(left_out, predict(unet, **given)) > 1e-3


@torch.no_grad()
def test_one_first_frame_equals_the_same_frame_repeated():
    """Attention over equal frames gives each of them the value of one: it is embedded once, not f times."""
    encoder = tiny_unet().conditions.first_frame
    frame = conditions(["first_frame"])["first_frame"]
    repeated = encoder(frame.repeat(1, 1, FRAMES, 1, 1))
    torch.testing.assert_close(encoder(frame).expand_as(repeated), repeated, rtol=1e-5, atol=1e-5)


def test_one_frame_makes_a_image():
    """Reposing a single image is a clip of one frame."""
    given = conditions(EVERYTHING, frames=1)
    with torch.no_grad():
        v = tiny_unet()(latents(frames=1), T, text=text(), **given)
    assert v.shape == (1, 4, 1, 16, 8)
    assert v.isfinite().all()


@pytest.mark.parametrize(
    ("pose_range", "t", "strength"),
    [
        (PoseRange(), 999, 1.0),
        (PoseRange(), 0, 1.0),
        (PoseRange(strength=0.5), 500, 0.5),
        (PoseRange(end=0.4), 999, 1.0),
        (PoseRange(end=0.4), 500, 0.0),
        (PoseRange(start=0.6), 500, 0.0),
        (PoseRange(start=0.6), 0, 1.0),
    ],
)
def test_poses_guide_over_their_share_of_the_run(pose_range, t, strength):
    """Start and end are shares of the run, whose noisy start is timestep 999."""
    assert pose_range.weight(torch.tensor([t])).tolist() == [strength]


def test_outside_their_range_poses_are_absent():
    unet = tiny_unet()
    with torch.no_grad():
        embedded = unet.embed(text=text(), **conditions(["pose"]))
    late = dataclasses.replace(embedded, pose_range=PoseRange(start=0.5))
    assert torch.equal(denoise(unet, late), denoise(unet, dataclasses.replace(embedded, pose=None)))
    assert torch.equal(denoise(unet, late, torch.tensor([1])), denoise(unet, embedded, torch.tensor([1])))


# -- sizes ------------------------------------------------------------------------------------------------------------

REFUSED = {
    "text of another encoder": ({"text": torch.zeros(1, 77, 48)}, r"text has shape \[1, 77, 48\]: give b n 64"),
    "image without tokens": ({"image": torch.zeros(1, 64)}, r"image has shape \[1, 64\]: give b 1 64"),
    "image of another encoder": ({"image": torch.zeros(1, 1, 63)}, r"image has shape \[1, 1, 63\]: give b 1 64"),
    "pose with alpha": (
        {"pose": torch.zeros(1, 4, 3, 128, 64)},
        r"pose has shape \[1, 4, 3, 128, 64\]: give b 3 f H W",
    ),
    "no poses": ({"pose": torch.zeros(1, 3, 0, 128, 64)}, r"pose has shape .* give b 3 f H W"),
    "several reference poses": (
        {"reference_pose": torch.zeros(1, 3, 3, 128, 64)},
        r"reference_pose has shape \[1, 3, 3, 128, 64\]: give b 3 1 H W",
    ),
    "reference as an image": (
        {"reference_latent": torch.zeros(1, 3, 1, 128, 64)},
        r"reference_latent has shape .*: give b 4 1 h w",
    ),
    "several first frames": ({"first_frame": torch.zeros(1, 3, 3, 128, 64)}, r"first_frame has shape .*: give b 3 1"),
    "odd size": (
        {"pose": torch.zeros(1, 3, 3, 136, 64)},
        r"pose is 64x136 pixels \(width x height\): give multiples of 64",
    ),
    "too few poses": ({"pose": torch.zeros(1, 3, 2, 128, 64)}, "pose has 2 frames, the clip has 3: give 3 of pose"),
    "poses of another size": (
        {"pose": torch.zeros(1, 3, 3, 64, 128)},
        r"pose is 128x64 pixels \(width x height\), the clip 64x128: give both the same size",
    ),
    "reference of another size": (
        {"reference_latent": torch.zeros(1, 4, 1, 8, 16)},
        "reference is 128x64 pixels .* the clip 64x128: give both the same size",
    ),
    "reference pose of another size": (
        {"reference_latent": torch.zeros(1, 4, 1, 16, 8), "reference_pose": torch.zeros(1, 3, 1, 64, 128)},
        "reference_pose is 128x64 pixels .*, the reference 64x128: give both the same size",
    ),
    "another batch": ({"pose": torch.zeros(2, 3, 3, 128, 64)}, "pose is a batch of 2, x of 1: give 1 or 1"),
    "batches that differ": (
        {"pose": torch.zeros(2, 3, 3, 128, 64), "image": torch.zeros(3, 1, 64)},
        r"the conditions are batches of \[2, 3\]: give 1 or the same of each",
    ),
    "image latents": ({"x": torch.zeros(3, 4, 16, 8)}, r"x has shape \[3, 4, 16, 8\]: give latents, b 4 f h w"),
    "no frames": ({"x": torch.zeros(1, 4, 0, 16, 8)}, r"x has shape \[1, 4, 0, 16, 8\]: give latents, b 4 f h w"),
    "odd latents": ({"x": torch.zeros(1, 4, 3, 20, 8)}, "x is 8x20 .* give multiples of 8"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_sizes_that_do_not_fit_are_refused(case):
    """In one sentence that names the input, its value and the remedy, before anything is computed."""
    given, message = REFUSED[case]
    with pytest.raises(ValueError, match=message), torch.no_grad():
        tiny_unet()(**({"x": latents(), "t": T, "text": text()} | given))


# -- hosts ------------------------------------------------------------------------------------------------------------


class OnDemand(nn.Module):
    """A layer as a host with weights on demand has it: they are there only while its own forward runs."""

    loaded: dict[str, nn.Parameter]


def on_demand(layer: type[nn.Module]) -> type[OnDemand]:
    class Layer(OnDemand, layer):
        def __init__(self, *args: Any, **kwargs: Any):
            super().__init__(*args, **kwargs)
            self.loaded = dict(self.named_parameters())
            self._unload()

        def reset_parameters(self) -> None:
            """Nothing is initialized: the file brings all weights."""

        def forward(self, x: Tensor) -> Tensor:
            self._parameters.update(self.loaded)
            result = super().forward(x)
            self._unload()
            return result

        def _unload(self) -> None:
            self._parameters.update(dict.fromkeys(self.loaded))

    return Layer


HOST_LAYERS = SimpleNamespace(
    **{layer.__name__: on_demand(layer) for layer in (nn.Linear, nn.Conv2d, nn.GroupNorm, nn.LayerNorm)}
)


def test_only_layers_touch_their_weights():
    """A host may load weights on demand and cast them as it likes: a module that reads one itself gets None."""
    unet = UNet(tiny_config(), operations=HOST_LAYERS, device="meta").eval()
    assert not unet.state_dict(), "every parameter belongs to a layer of the host"
    for name, layer in unet.named_modules():
        if isinstance(layer, OnDemand):
            layer.loaded = dict(tiny_unet().get_submodule(name).named_parameters())
    given = conditions(EVERYTHING)
    assert torch.equal(predict(unet, **given), predict(tiny_unet(), **given))


def test_constructing_costs_no_memory_on_the_meta_device():
    """Building 1.4 billion parameters must not allocate or initialize what the file will bring."""
    unet = UNet(tiny_config(), device="meta")
    assert all(parameter.is_meta for parameter in unet.parameters())
    assert not list(unet.buffers()), "a buffer would be missing in the file"


def test_attention_is_the_hosts_choice():
    """Spatial and frame attention are separate choices: short sequences want other kernels."""
    calls = {"spatial": 0, "frames": 0}

    def counted(kind: str):
        def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
            calls[kind] += 1
            return scaled_dot_product_attention(q, k, v, heads)

        return attention

    unet = tiny_unet_with(attention=counted("spatial"), frame_attention=counted("frames"))
    assert torch.equal(predict(unet), predict(tiny_unet()))
    stages = 3 + 1 + 6  # with attention: on the way down, in the middle, on the way up
    assert calls == {"spatial": 2 * stages, "frames": 2 * (stages + 1)}, "two a transformer; the stem has one as well"


@examples(10)
@given(st.permutations(range(4)))
@torch.no_grad()
def test_attention_over_frames_knows_no_order(order):
    """No positions, no mask: permuting the frames permutes the result. Order enters by convolutions alone."""
    attention = FrameAttention(32, 2, Backend())
    x = tensor("frames", (1, 4, 6, 32))
    torch.testing.assert_close(attention(x[:, order]), attention(x)[:, order], rtol=1e-5, atol=1e-5)


def test_gradients_reach_every_parameter():
    """In-place steps save memory at inference; training must still get every gradient."""
    unet = tiny_unet_with().train().requires_grad_(True)
    given = conditions(EVERYTHING, frames=2)
    unet(latents(frames=2), T, text=text(), **given).square().mean().backward()
    without = [name for name, parameter in unet.named_parameters() if parameter.grad is None]
    assert without == []
