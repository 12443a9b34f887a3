"""The MODEL against the recorded results, through ComfyUI's own samplers, in one process with it."""

from __future__ import annotations

import dataclasses
import json
from types import SimpleNamespace

import pytest
import torch
from einops import rearrange
from safetensors.torch import load_file, save_file

from tests.host.made_up import DATA, tiny_checkpoint
from tests.support.recorded import tensor
from unianimate_core.diffusion import ddim_timesteps

pytestmark = pytest.mark.host

LATENT_SCALE = 0.18215
FRAMES, LONG = 5, 20


@pytest.fixture(scope="module")
def model(pack, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny.safetensors"
    save_file(tiny_checkpoint(), path, metadata={"unianimate": json.dumps({"head_dim": 16})})
    return pack.host_model.load_model(str(path), torch.float32)


@pytest.fixture(scope="module")
def recorded():
    return {name: as_frames(clip) for name, clip in load_file(DATA / "sampling_tiny.safetensors").items()}


def as_frames(clip):
    return rearrange(clip, "1 c f h w -> f c h w")


def made_up_clip(pack, prefix: str, frames: int, *, first_frame: bool = False):
    """The inputs that the results were recorded with, as the nodes would hand them on."""

    def pixels(name: str, count: int):
        return as_frames(torch.sigmoid(tensor(prefix + name, (1, 3, count, 192, 128))))

    inputs = pack.host_model.ClipInputs(
        poses=pixels("pose", frames),
        reference_pose=pixels("reference_pose", 1),
        reference_latent=as_frames(tensor(prefix + "reference_latent", (1, 4, 1, 24, 16))),
        image=tensor(prefix + "image_embeds", (1, 1, 64)),
        first_frame=pixels("first_frame", 1) if first_frame else None,
    )
    return clip_of(pack, inputs, frames)


def clip_of(pack, inputs, frames: int):
    text = tensor("text_embeds", (1, 77, 64))
    key = pack.host_model.CLIP_INPUTS
    return pack.conditioning.Clip(inputs, [[text, {key: inputs}]], [[text, {}]], (frames, 24, 16))


def sampled(pack, model, clip, prefix: str, steps: int = 10, ending: str = "upstream"):
    frames = clip.latent_size[0]
    start = as_frames(tensor(prefix + "noise", (1, 4, frames, 24, 16)))
    settings = pack.sampling.SamplingSettings(0, steps, 2.5, noise_prior=0, offset_noise=0.0, ending=ending)
    sampler = pack.sampling.HostSampler("euler", "ddim_uniform")
    return LATENT_SCALE * pack.sampling.sample(model, clip, start, settings, sampler)


def relative(a, b) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.parametrize(("name", "first_frame"), [("ddim10_cfg2.5", False), ("ddim10_cfg2.5_first_frame", True)])
def test_euler_over_ddim_uniform_is_the_authors_ddim(pack, model, recorded, name, first_frame):
    clip = made_up_clip(pack, "ddim.", FRAMES, first_frame=first_frame)
    assert relative(sampled(pack, model, clip, "ddim."), recorded[name]) < 1e-4


def test_ddim_uniform_is_the_authors_timesteps_at_any_number_of_steps(pack, model):
    """ComfyUI's own scheduler of that name starts and ends elsewhere at some numbers, such as 27."""
    levels = model.get_model_object("model_sampling").sigmas
    for steps in range(1, 1001):
        sigmas = pack.sampling.run_sigmas(model.get_model_object("model_sampling"), "ddim_uniform", steps, "clean")
        assert sigmas[-1] == 0
        assert torch.equal(sigmas[:-1], levels[ddim_timesteps(steps)])


@pytest.mark.parametrize("ending", ["clean", "upstream"])
@pytest.mark.parametrize("steps", [1, 2, 3, 8, 30])
def test_no_step_of_any_scheduler_stands_still(pack, model, ending, steps):
    """Several samplers divide by the difference of two levels."""
    from comfy.samplers import SCHEDULER_NAMES

    for scheduler in SCHEDULER_NAMES:
        sigmas = pack.sampling.run_sigmas(model.get_model_object("model_sampling"), scheduler, steps, ending)
        if ending == "upstream":
            assert sigmas[-1] == model.get_model_object("model_sampling").sigmas[0]
            assert (sigmas.diff() < 0).all(), scheduler


def windows(model, length: int, overlap: int):
    from comfy import context_windows

    windowed = model.clone()
    handler = context_windows.IndexListContextHandler(
        context_windows.get_matching_context_schedule("standard_static"),
        context_windows.get_matching_fuse_method("flat"),
        context_length=length,
        context_overlap=overlap,
    )
    handler.causal_window_fix = False
    windowed.model_options["context_handler"] = handler
    return windowed


def test_context_windows_are_the_authors_windows(pack, model, recorded):
    clip = made_up_clip(pack, "long.", LONG)
    latents = sampled(pack, windows(model, 8, 2), clip, "long.")
    assert relative(latents, recorded["windows8_overlap2_ddim10_cfg2.5"]) < 1e-4


def test_the_first_frame_belongs_to_the_window_of_frame_0(pack, model):
    """Frames that no window shares with frame 0 do not change in the first step when a first frame is connected."""
    clip = made_up_clip(pack, "long.", LONG)
    first = torch.sigmoid(tensor("long.first_frame", (1, 3, 192, 128)))
    guided = clip_of(pack, dataclasses.replace(clip.inputs, first_frame=first), LONG)
    windowed = windows(model, 8, 2)
    plain, changed = (sampled(pack, windowed, c, "long.", steps=1, ending="clean") for c in (clip, guided))
    assert not torch.equal(plain[:8], changed[:8])
    assert torch.equal(plain[8:], changed[8:])


def test_pose_strength_zero_and_an_empty_range_leave_the_poses_out(pack, model):
    clip = made_up_clip(pack, "ddim.", FRAMES)
    pose_range = type(clip.inputs.pose_range)

    def with_range(*values: float):
        inputs = dataclasses.replace(clip.inputs, pose_range=pose_range(*values))
        return sampled(pack, model, clip_of(pack, inputs, FRAMES), "ddim.", steps=2)

    full, none, late = with_range(1.0, 0.0, 1.0), with_range(0.0, 0.0, 1.0), with_range(1.0, 1.0, 1.0)
    assert torch.equal(none, late)
    assert not torch.equal(none, full)


def test_a_model_that_is_not_uni_animate_is_refused(pack):
    with pytest.raises(ValueError, match="connect the MODEL of Load UniAnimate"):
        pack.conditioning.network_config(SimpleNamespace(model=torch.nn.Identity()))


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [((1, 4, 6, 24, 16), "the latent has 5 dimensions"), ((4, 4, 24, 16), "6 poses meet 4 frames: set dim to 0")],
)
def test_latents_of_another_layout_are_refused(pack, shape, sentence):
    with pytest.raises(ValueError, match=sentence):
        pack.host_checks.check_rows(torch.zeros(shape), torch.zeros(6, 8, 24, 16))


def test_patches_for_other_networks_are_told(pack, caplog):
    """Silence would be taken for effect."""
    pack.host_checks.warn_of_unused_patches({"patches": {"attn1_patch": [None]}, "patches_replace": {}})
    assert "attn1_patch are for other networks" in caplog.text


def test_a_missing_vae_is_refused(pack):
    with pytest.raises(ValueError, match="vae is empty"):
        pack.conditioning.check_vae(None)
