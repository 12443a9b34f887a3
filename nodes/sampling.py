"""The sampling node, and the authors' sampling on ComfyUI's samplers."""

from __future__ import annotations

from dataclasses import dataclass

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
from ..unianimate_core.diffusion import NOISE_PRIOR, TIMESTEPS, ddim_timesteps
from ..unianimate_core.guidance import Guidance
from ..unianimate_core.model.conditions import PoseRange
from ..unianimate_core.sampling import SamplingSettings
from .conditioning import Clip, Encoders, drawn_poses, guidance_inputs, pose_inputs, prepare_clip
from .messages import say

# A run that begins below this timestep has too little noise to make anything new.
NOISY = 900


class UniAnimateSample(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="UniAnimateSample",
            display_name="UniAnimate Sample",
            category="UniAnimate",
            description="Animates the person of a reference image by driving poses. VAE Decode turns it into images.",
            search_aliases=["unianimate", "animate person", "pose to video", "repose"],
            inputs=[*guidance_inputs(), *sampling_inputs(), *pose_inputs()],
            outputs=[io.Latent.Output(tooltip="One latent a frame, for VAE Decode.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        model,
        vae,
        reference_image,
        reference_pose,
        poses,
        width,
        height,
        fit,
        seed,
        steps,
        cfg,
        sampler_name,
        scheduler,
        noise_prior,
        offset_noise,
        ending,
        pose_strength,
        pose_start_percent,
        pose_end_percent,
        clip=None,
        clip_vision=None,
        first_frame=None,
    ) -> io.NodeOutput:
        pose_range = PoseRange(pose_strength, pose_start_percent, pose_end_percent)
        driving = drawn_poses(poses)
        guidance = Guidance(reference_image, reference_pose, driving, width, height, fit, first_frame, pose_range)
        settings = SamplingSettings(seed, steps, cfg, noise_prior, offset_noise, ending)
        sampler = HostSampler(sampler_name, scheduler)
        prepared = prepare_clip(model, Encoders(vae, clip, clip_vision), guidance, cls.hidden.unique_id)
        warn_late_start(cls.hidden.unique_id, model, sampler, settings)
        samples = sample(model, prepared, starting_latents(prepared, settings), settings, sampler)
        return io.NodeOutput({"samples": samples})


@dataclass(frozen=True)
class HostSampler:
    """The names of a sampler and a scheduler of ComfyUI."""

    name: str = "euler"
    scheduler: str = "ddim_uniform"


def sampling_inputs(prior: int = NOISE_PRIOR, seed_control: bool | io.ControlAfterGenerate = True) -> list[io.Input]:
    """How a clip is denoised. The defaults are the authors'. prior: the noise prior's timestep."""
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
            "steps",
            default=30,
            min=1,
            max=1000,
            tooltip="30 in the authors' code, 50 in the paper. Try 20.",
        ),
        io.Float.Input(
            "cfg",
            default=2.5,
            min=1.0,
            max=20.0,
            step=0.1,
            tooltip="Guidance scale, how closely the conditions are followed. 1 halves the time; above 4 colors burn.",
        ),
        io.Combo.Input(
            "sampler_name",
            options=comfy.samplers.SAMPLER_NAMES,
            default="euler",
            tooltip="euler with ddim_uniform is the authors' DDIM.",
        ),
        io.Combo.Input(
            "scheduler",
            options=comfy.samplers.SCHEDULER_NAMES,
            default="ddim_uniform",
            tooltip="ddim_uniform is the authors' (31 steps for 30). Below 10 steps try sgm_uniform.",
        ),
        io.Int.Input(
            "noise_prior",
            default=prior,
            min=0,
            max=999,
            tooltip="Starts from the reference image diffused to this timestep, which keeps background and colors. "
            "Larger is weaker: try 959 to 969 if too much of it stays. 0 starts from pure noise.",
        ),
        io.Float.Input(
            "offset_noise",
            default=0.1,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="Noise in a whole frame's brightness. 0.1 as trained.",
        ),
        io.Combo.Input(
            "ending",
            options=["clean", "upstream"],
            default="clean",
            tooltip="clean removes all noise; upstream leaves the little that the authors' sampling leaves.",
        ),
    ]


def warn_late_start(node_id: str | None, model, sampler: HostSampler, settings: SamplingSettings) -> None:
    """Warn if so few steps are taken that the run begins far below the noise it starts from."""
    model_sampling = model.get_model_object("model_sampling")
    first = run_sigmas(model_sampling, sampler.scheduler, settings.steps, "clean")[0]
    timestep, expected = int(model_sampling.timestep(first)), settings.prior() or NOISY
    if timestep < min(expected, NOISY):
        run = f"{sampler.scheduler} with {settings.steps} steps"
        say(node_id, f"{run} begins at timestep {timestep} of 999: noise will stay, take more")


def run_sigmas(model_sampling, scheduler: str, steps: int, ending: str) -> Tensor:
    """The noise levels of a run, from noisy to clean; the last is where it ends.

    ddim_uniform takes the authors' timesteps for any number of steps; ComfyUI's own differ for some, such as 27.
    ending "upstream" ends at the level of timestep 0, once, since some samplers divide by the step's size.
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


def starting_latents(clip: Clip, settings: SamplingSettings, *, long_video: bool = False) -> Tensor:
    """Where the run starts, at unit variance: f 4 h w. long_video: see diffusion.starting_latents."""
    reference = clip.inputs.reference_latent
    start = diffusion.starting_latents(
        (1, LATENT_CHANNELS, *clip.latent_size),
        torch.Generator().manual_seed(settings.seed),
        None if reference is None else rearrange(reference, "b c h w -> b c 1 h w"),
        prior=settings.prior(long_video=long_video),
        offset=settings.offset_noise,
        long_video=long_video,
    )
    return rearrange(start, "1 c f h w -> f c h w")


def sample(
    model,
    clip: Clip,
    start: Tensor,
    settings: SamplingSettings,
    sampler: HostSampler,
    *,
    held: Tensor | None = None,
    callback=None,
) -> Tensor:
    """Denoise start (f 4 h w, unit variance) with a sampler of ComfyUI: f 4 h w, unscaled VAE latents.

    held: unscaled latents of the first frames, n 4 h w, around which the others are inpainted.
    callback: called after each step, as ComfyUI's samplers do; None shows a progress bar for this run alone.
    k-diffusion's latents are sqrt(1 + sigma^2) times the network's, at the start as at the end.
    """
    model_sampling = model.get_model_object("model_sampling")
    sigmas = run_sigmas(model_sampling, sampler.scheduler, settings.steps, settings.ending)
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(clip.positive, clip.negative)
    guider.set_cfg(settings.guidance_scale)
    # ComfyUI multiplies the noise by sigma; with this factor the result is sqrt(1 + sigma^2) times the start.
    noise, known, mask = start * (1 + sigmas[0] ** -2.0) ** 0.5, torch.zeros_like(start), None
    if held is not None:
        noise, known, mask = held_frames(noise, held, settings.seed)
    samples = guider.sample(
        noise,
        known,
        comfy.samplers.sampler_object(sampler.name),
        sigmas,
        denoise_mask=mask,
        callback=callback or latent_preview.prepare_callback(model, len(sigmas) - 1),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=settings.seed,
    )
    samples = (samples.float() / (1 + sigmas[-1] ** 2) ** 0.5).to(comfy.model_management.intermediate_device())
    if not torch.isfinite(samples).all():
        raise ValueError(
            f"the result holds values that are not numbers (computed in {model.model.get_dtype_inference()}, "
            f"sampler {sampler.name}, scheduler {sampler.scheduler}): try precision bf16 or fp32, or euler with "
            "ddim_uniform"
        )
    return samples


def held_frames(noise: Tensor, held: Tensor, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """(noise, latents, mask) for ComfyUI's inpainting of all but the first frames, which get pure noise."""
    shared = len(held)
    pure = torch.randn(held.shape, generator=torch.Generator().manual_seed(seed))
    mask = torch.ones(len(noise), 1, *noise.shape[2:])
    mask[:shared] = 0
    known = torch.cat([held, torch.zeros_like(noise[shared:])])
    return torch.cat([pure, noise[shared:]]), known, mask
