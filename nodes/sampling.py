"""The sampling node, and how the authors' sampling runs on ComfyUI's samplers."""

from __future__ import annotations

import comfy.model_management
import comfy.samplers
import comfy.utils
import latent_preview
import torch
from comfy_api.latest import io
from einops import rearrange
from torch import Tensor

from ..unianimate_core.config import LATENT_CHANNELS
from ..unianimate_core.diffusion import noise_prior, starting_noise
from ..unianimate_core.model.conditions import PoseRange
from .conditioning import Clip, guidance_inputs, pose_inputs, prepare_clip


class UniAnimateSample(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="UniAnimateSample",
            display_name="UniAnimate Sample",
            category="UniAnimate",
            description="Animates the person of a reference picture by driving poses. VAE Decode makes pictures of it.",
            search_aliases=["unianimate", "animate person", "pose to video", "repose"],
            inputs=[*guidance_inputs(), *sampling_inputs(), *pose_inputs()],
            outputs=[io.Latent.Output(tooltip="One latent a frame, for VAE Decode.")],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        model,
        seed,
        steps,
        guidance,
        sampler,
        scheduler,
        noise_prior,
        offset_noise,
        ending,
        pose_strength,
        pose_start,
        pose_end,
        **pictures,
    ) -> io.NodeOutput:
        pose_range = PoseRange(pose_strength, pose_start, pose_end)
        clip = prepare_clip(model, **pictures, pose_range=pose_range, node_id=cls.hidden.unique_id)
        start = starting_latents(clip, seed, noise_prior, offset_noise)
        samples = sample(model, clip, start, seed, steps, guidance, sampler, scheduler, ending)
        return io.NodeOutput({"samples": samples})


def sampling_inputs() -> list[io.Input]:
    """How a clip is denoised. The defaults are the authors'."""
    return [
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=2**64 - 1,
            control_after_generate=True,
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
            tooltip="How strongly reference and poses are followed. 1 halves the time; above 4 colours burn.",
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
            tooltip="ddim_uniform is the authors', and takes 31 steps for 30.",
        ),
        io.Int.Input(
            "noise_prior",
            default=949,
            min=0,
            max=999,
            tooltip="Starts from the reference picture, diffused to this timestep, which keeps background and colours. "
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


def starting_latents(clip: Clip, seed: int, prior: int, offset: float) -> Tensor:
    """Where the run starts, at unit variance. prior: timestep of the noise prior, 0 for none. Result: f 4 h w."""
    frames, height, width = clip.latent_size
    generator = torch.Generator().manual_seed(seed)
    start = starting_noise((1, LATENT_CHANNELS, frames, height, width), generator, offset)
    if prior and clip.inputs.reference_latent is not None:
        start = noise_prior(rearrange(clip.inputs.reference_latent, "b c h w -> b c 1 h w"), start, prior)
    return rearrange(start, "1 c f h w -> f c h w")


def sample(
    model,
    clip: Clip,
    start: Tensor,
    seed: int,
    steps: int,
    guidance: float,
    sampler: str,
    scheduler: str,
    ending: str,
) -> Tensor:
    """Denoise from start (f 4 h w, unit variance) with a sampler of ComfyUI; result f 4 h w, unscaled VAE latents.

    k-diffusion's latents are larger than those of the network by sqrt(1 + sigma^2), at the start as at the end.
    """
    model_sampling = model.get_model_object("model_sampling")
    sigmas = comfy.samplers.calculate_sigmas(model_sampling, scheduler, steps)
    if ending == "upstream":
        sigmas[-1] = model_sampling.sigmas[0]
    guider = comfy.samplers.CFGGuider(model)
    guider.set_conds(clip.positive, clip.negative)
    guider.set_cfg(guidance)
    # ComfyUI multiplies the noise by sigma; what is handed to it makes that sqrt(1 + sigma^2).
    noise = start * (1 + sigmas[0] ** -2.0) ** 0.5
    samples = guider.sample(
        noise,
        torch.zeros_like(start),
        comfy.samplers.sampler_object(sampler),
        sigmas,
        callback=latent_preview.prepare_callback(model, len(sigmas) - 1),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=seed,
    )
    samples = (samples.float() / (1 + sigmas[-1] ** 2) ** 0.5).to(comfy.model_management.intermediate_device())
    if not torch.isfinite(samples).all():
        raise ValueError(
            "the result holds values that are not numbers: set precision to bf16 or fp32 in Load UniAnimate, "
            "or guidance lower"
        )
    return samples
