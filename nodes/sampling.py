"""The sampling node, and how the authors' sampling runs on ComfyUI's samplers."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import comfy.model_management
import comfy.samplers
import comfy.utils
import latent_preview
import torch
from comfy_api.latest import io
from einops import rearrange
from torch import Tensor

from ..unianimate_core import diffusion
from ..unianimate_core.config import LATENT_CHANNELS
from ..unianimate_core.diffusion import TIMESTEPS, ddim_timesteps
from ..unianimate_core.model.conditions import PoseRange
from .conditioning import Clip, guidance_inputs, pose_inputs, prepare_clip
from .messages import say

# A run that begins below this timestep is not given enough noise to make something new.
NOISY = 900


class UniAnimateSample(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="UniAnimateSample",
            display_name="UniAnimate Sample",
            category="UniAnimate",
            description="Animates the person of a reference image by driving poses. VAE Decode makes images of it.",
            search_aliases=["unianimate", "animate person", "pose to video", "repose"],
            inputs=[*guidance_inputs(), *sampling_inputs(), *pose_inputs()],
            outputs=[io.Latent.Output(tooltip="One latent a frame, for VAE Decode.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, model, pose_strength, pose_start, pose_end, **inputs) -> io.NodeOutput:
        sampling, images = Sampling.taken_from(inputs)
        pose_range = PoseRange(pose_strength, pose_start, pose_end)
        clip = prepare_clip(model, **images, pose_range=pose_range, node_id=cls.hidden.unique_id)
        tell_late_start(cls.hidden.unique_id, model, sampling)
        samples = sample(model, clip, starting_latents(clip, sampling), sampling)
        return io.NodeOutput({"samples": samples})


@dataclass(frozen=True)
class Sampling:
    """How a clip is denoised: the inputs of sampling_inputs, by their names."""

    seed: int
    steps: int
    guidance: float
    sampler: str
    scheduler: str
    noise_prior: int
    offset_noise: float
    ending: str

    @classmethod
    def taken_from(cls, inputs: dict[str, Any]) -> tuple[Sampling, dict[str, Any]]:
        """These of a node's inputs, and the others."""
        names = {field.name for field in fields(cls)}
        own = {name: value for name, value in inputs.items() if name in names}
        return cls(**own), {name: value for name, value in inputs.items() if name not in names}


def sampling_inputs(prior: int = 949, seed_control: bool | io.ControlAfterGenerate = True) -> list[io.Input]:
    """How a clip is denoised. The defaults are the authors'; prior: that of the noise prior."""
    return [
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=2**64 - 1,
            control_after_generate=seed_control,
            tooltip="The same seed gives the same video, on any device.",
        ),
        io.Int.Input(
            "steps", default=30, min=1, max=1000, tooltip="30 by default, 50 in the paper; 20 is often enough."
        ),
        io.Float.Input(
            "guidance",
            default=2.5,
            min=1.0,
            max=20.0,
            step=0.1,
            tooltip="How strongly reference and poses are followed. 1 halves the time; above 4 colors burn.",
        ),
        io.Combo.Input(
            "sampler",
            options=comfy.samplers.SAMPLER_NAMES,
            default="euler",
            tooltip="euler with ddim_uniform is the authors' DDIM.",
        ),
        io.Combo.Input(
            "scheduler",
            options=comfy.samplers.SCHEDULER_NAMES,
            default="ddim_uniform",
            tooltip="ddim_uniform is the authors', with 31 steps for 30. Below 10 steps take sgm_uniform.",
        ),
        io.Int.Input(
            "noise_prior",
            default=prior,
            min=0,
            max=999,
            tooltip="Starts from the reference image, diffused to this timestep, which keeps background and colors. "
            "Larger is weaker: try 959 to 969 where too much of it stays. 0 starts from pure noise.",
        ),
        io.Float.Input(
            "offset_noise",
            default=0.1,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="Noise of a whole frame's brightness; 0.1 as trained.",
        ),
        io.Combo.Input(
            "ending",
            options=["clean", "upstream"],
            default="clean",
            tooltip="clean removes all noise; upstream leaves the little that the authors' sampling left.",
        ),
    ]


def tell_late_start(node_id: str | None, model, sampling: Sampling) -> None:
    """Say so where so few steps are taken that the run begins far below the noise it is given."""
    model_sampling = model.get_model_object("model_sampling")
    first = run_sigmas(model_sampling, sampling.scheduler, sampling.steps, "clean")[0]
    timestep, expected = int(model_sampling.timestep(first)), sampling.noise_prior or NOISY
    if timestep < min(expected, NOISY):
        run = f"{sampling.scheduler} with {sampling.steps} steps"
        say(node_id, f"{run} begins at timestep {timestep} of 999: noise will stay, take more")


def run_sigmas(model_sampling, scheduler: str, steps: int, ending: str) -> Tensor:
    """The noise levels of a run, from noisy to clean, the last being where it ends.

    ddim_uniform takes the authors' timesteps at any number of steps; ComfyUI's own differ from these at some numbers,
    such as 27. ending "upstream": the level of timestep 0, once, since some samplers divide by the step's size.
    """
    levels = model_sampling.sigmas
    if scheduler == "ddim_uniform" and len(levels) == TIMESTEPS:
        sigmas = torch.cat([levels[ddim_timesteps(steps)].cpu(), torch.zeros(1)])
    else:
        sigmas = comfy.samplers.calculate_sigmas(model_sampling, scheduler, steps).cpu()
    if ending == "upstream":
        above = sigmas[:-1][sigmas[:-1] > 1.001 * levels[0].cpu()]
        sigmas = torch.cat([above, levels[:1].cpu()])
    return sigmas


def starting_latents(clip: Clip, sampling: Sampling, *, long_video: bool = False) -> Tensor:
    """Where the run starts, at unit variance: f 4 h w. long_video: as of the core's starting_latents."""
    reference = clip.inputs.reference_latent
    start = diffusion.starting_latents(
        (1, LATENT_CHANNELS, *clip.latent_size),
        torch.Generator().manual_seed(sampling.seed),
        None if reference is None else rearrange(reference, "b c h w -> b c 1 h w"),
        prior=sampling.noise_prior,
        offset=sampling.offset_noise,
        long_video=long_video,
    )
    return rearrange(start, "1 c f h w -> f c h w")


def sample(
    model, clip: Clip, start: Tensor, sampling: Sampling, *, held: Tensor | None = None, callback=None
) -> Tensor:
    """Denoise from start (f 4 h w, unit variance) with a sampler of ComfyUI; result f 4 h w, unscaled VAE latents.

    held: unscaled latents of the first frames, n 4 h w, around which the others are sampled, as ComfyUI's samplers
    inpaint. callback: called after each step, as they do; None shows a progress bar for this run alone.
    k-diffusion's latents are larger than those of the network by sqrt(1 + sigma^2), at the start as at the end.
    """
    model_sampling = model.get_model_object("model_sampling")
    sigmas = run_sigmas(model_sampling, sampling.scheduler, sampling.steps, sampling.ending)
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(clip.positive, clip.negative)
    guider.set_cfg(sampling.guidance)
    # ComfyUI multiplies the noise by sigma; what is handed to it makes that sqrt(1 + sigma^2).
    noise, known, mask = start * (1 + sigmas[0] ** -2.0) ** 0.5, torch.zeros_like(start), None
    if held is not None:
        noise, known, mask = held_frames(noise, held, sampling.seed)
    samples = guider.sample(
        noise,
        known,
        comfy.samplers.sampler_object(sampling.sampler),
        sigmas,
        denoise_mask=mask,
        callback=callback or latent_preview.prepare_callback(model, len(sigmas) - 1),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=sampling.seed,
    )
    samples = (samples.float() / (1 + sigmas[-1] ** 2) ** 0.5).to(comfy.model_management.intermediate_device())
    if not torch.isfinite(samples).all():
        raise ValueError(
            f"the result holds values that are not numbers (computed in {model.model.get_dtype_inference()}, "
            f"sampler {sampling.sampler}, scheduler {sampling.scheduler}): try precision bf16 or fp32, or euler with "
            "ddim_uniform"
        )
    return samples


def held_frames(noise: Tensor, held: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """(noise, latents, mask) for ComfyUI's inpainting, in which the first frames are known and get pure noise."""
    shared = len(held)
    pure = torch.randn(held.shape, generator=torch.Generator().manual_seed(seed))
    mask = torch.ones(len(noise), 1, *noise.shape[2:])
    mask[:shared] = 0
    known = torch.cat([held, torch.zeros_like(noise[shared:])])
    return torch.cat([pure, noise[shared:]]), known, mask
