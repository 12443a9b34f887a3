"""Contracts of the network that hold for any weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.support import recorded as made_up
from tests.support.examples import examples
from tests.support.on_demand import give_weights, host_operations
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
    """Places, tokens and images are independent, so a bound on memory must not change the result."""
    given = conditions(EVERYTHING)
    whole = predict(tiny_unet_with(split_bytes=None), **given)
    error = difference(predict(tiny_unet_with(split_bytes=split_bytes), **given), whole)
    assert error < 1e-5


BOUND = 40_000
# A module's constructor, and the shape of its input.
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
    """For any bound: also one below a single row, and one that leaves a smaller last piece."""
    make, shape = SPLITTERS[name]
    whole, pieces = make(Backend(split_bytes=None)), make(Backend(split_bytes=split_bytes))
    pieces.load_state_dict(whole.state_dict())
    x = tensor(name, shape)
    torch.testing.assert_close(pieces(x), whole(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "widest"), [("feed-forward", "proj"), ("frame attention", "qkv")])
@torch.no_grad()
def test_pieces_stay_within_the_bound(name, widest):
    """This bound lets 64 frames fit on a small GPU."""
    make, shape = SPLITTERS[name]
    module = make(Backend(split_bytes=BOUND))
    sizes: list[int] = []
    getattr(module, widest).register_forward_hook(lambda *call: sizes.append(call[-1].nbytes))
    module(tensor(name, (*shape[:-2], 101, shape[-1])))
    assert len(sizes) > 1
    assert max(sizes) <= BOUND


# -- conditions -------------------------------------------------------------------------------------------------------


def test_embedding_once_equals_embedding_at_each_step():
    """Samplers embed a clip once. The conditions must not depend on the noise or the timestep, nor change with use."""
    unet = tiny_unet()
    given = conditions(EVERYTHING)
    with torch.no_grad():
        embedded = unet.embed(text=text(), **given)
    for t in (T, torch.tensor([1]), T):
        with torch.no_grad():
            expected = unet(latents(), t, text=text(), **given)
        assert torch.equal(denoise(unet, embedded, t), expected)


def test_a_missing_condition_is_zeros():
    """An absent pose, first frame, reference or image contributes zeros. The unconditional pass relies on it."""
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
    """A reference pose describes the reference image, so it is ignored without one."""
    unet = tiny_unet()
    given = conditions(["pose", "reference_pose"])
    assert torch.equal(predict(unet, **given), predict(unet, pose=given["pose"]))


@pytest.mark.parametrize("name", EVERYTHING)
def test_every_condition_counts(name):
    """In an image nobody would notice that a condition was lost."""
    unet = tiny_unet()
    given = conditions(EVERYTHING)
    left_out = predict(unet, **{key: value for key, value in given.items() if key != name})
    assert difference(left_out, predict(unet, **given)) > 1e-3


@torch.no_grad()
def test_one_first_frame_equals_the_same_frame_repeated():
    """Attention over equal frames gives each of them the value of one, so one embedding serves all frames."""
    encoder = tiny_unet().conditions.first_frame
    frame = conditions(["first_frame"])["first_frame"]
    repeated = encoder(frame.repeat(1, 1, FRAMES, 1, 1))
    torch.testing.assert_close(encoder(frame).expand_as(repeated), repeated, rtol=1e-5, atol=1e-5)


def test_a_clip_may_have_one_frame():
    """A clip of one frame reposes a single image."""
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
    """The message names the input, its value and the remedy, before anything is computed."""
    given, message = REFUSED[case]
    with pytest.raises(ValueError, match=message), torch.no_grad():
        tiny_unet()(**({"x": latents(), "t": T, "text": text()} | given))


# -- hosts ------------------------------------------------------------------------------------------------------------


def test_only_layers_touch_their_weights():
    """A host may load and cast weights on demand. A module that reads a weight itself would get None."""
    host = host_operations(nn.Linear, nn.Conv2d, nn.GroupNorm, nn.LayerNorm)
    unet = UNet(tiny_config(), operations=host, device="meta").eval()
    assert not unet.state_dict(), "every parameter belongs to a layer of the host"
    give_weights(unet, tiny_unet())
    given = conditions(EVERYTHING)
    assert torch.equal(predict(unet, **given), predict(tiny_unet(), **given))


def test_constructing_costs_no_memory_on_the_meta_device():
    """A network of 1.4 billion parameters is built without memory, since the file brings its weights."""
    unet = UNet(tiny_config(), device="meta")
    assert all(parameter.is_meta for parameter in unet.parameters())
    assert not list(unet.buffers()), "the file has no buffers"


def test_the_host_chooses_the_attention():
    """Spatial and frame attention are separate choices, since short sequences need other kernels."""
    calls = {"spatial": 0, "frames": 0}

    def counted(kind: str):
        def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
            calls[kind] += 1
            return scaled_dot_product_attention(q, k, v, heads)

        return attention

    unet = tiny_unet_with(attention=counted("spatial"), frame_attention=counted("frames"))
    assert torch.equal(predict(unet), predict(tiny_unet()))
    stages = 3 + 1 + 6  # with attention: on the way down, in the middle, on the way up
    assert calls == {"spatial": 2 * stages, "frames": 2 * (stages + 1)}, (
        "two in each transformer, and the stem has a temporal one"
    )


@examples(10)
@given(st.permutations(range(4)))
@torch.no_grad()
def test_attention_over_frames_ignores_their_order(order):
    """Permuting the frames permutes the result. Only convolutions carry their order."""
    attention = FrameAttention(32, 2, Backend())
    x = tensor("frames", (1, 4, 6, 32))
    torch.testing.assert_close(attention(x[:, order]), attention(x)[:, order], rtol=1e-5, atol=1e-5)


def test_gradients_reach_every_parameter():
    """In-place steps save memory at inference. Training must still get every gradient."""
    unet = tiny_unet_with().train().requires_grad_(True)
    given = conditions(EVERYTHING, frames=2)
    unet(latents(frames=2), T, text=text(), **given).square().mean().backward()
    without = [name for name, parameter in unet.named_parameters() if parameter.grad is None]
    assert without == []
