"""What guides one clip, as conditioning for any of ComfyUI's samplers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from comfy_api.latest import io
from einops import rearrange
from torch import Tensor

from ..unianimate_core.config import LATENT_CHANNELS, ModelConfig
from ..unianimate_core.diffusion import LATENT_SCALE
from ..unianimate_core.driving_poses import DrawnPoses
from ..unianimate_core.encoders import resize_for_clip
from ..unianimate_core.guidance import Guidance
from ..unianimate_core.media.images import FITS, check_images
from ..unianimate_core.model.conditions import PoseRange
from .host_model import CLIP_INPUTS, ClipInputs, UniAnimate
from .messages import say


def guidance_inputs(poses: io.Input | None = None) -> list[io.Input]:
    """The inputs that describe a clip, which every sampling node has. poses: in place of drawn ones."""
    drawn = io.Image.Input("poses", tooltip="Driving poses, drawn, one frame each. A single pose reposes the image.")
    return [
        io.Model.Input("model", tooltip="From Load UniAnimate. It may carry LoRAs, Context Windows and other patches."),
        io.Vae.Input("vae", tooltip="Any VAE of Stable Diffusion 1.x or 2.x."),
        io.Image.Input("reference_image", tooltip="One image of the person to animate."),
        io.Image.Input("reference_pose", tooltip="The person's pose in the reference image, drawn on its canvas."),
        poses or drawn,
        io.Clip.Input(
            "clip", optional=True, tooltip="From Load UniAnimate. Without it, zeros replace the empty prompt."
        ),
        io.ClipVision.Input(
            "clip_vision",
            optional=True,
            tooltip="From Load UniAnimate. Without it, the network gets no embedding of the reference image.",
        ),
        io.Image.Input(
            "first_frame", optional=True, tooltip="An image for the clip to begin with, such as a clip's last frame."
        ),
        io.Int.Input(
            "width", default=512, min=64, max=4096, step=64, tooltip="In pixels. 512x768 was trained; 768x1216 works."
        ),
        io.Int.Input("height", default=768, min=64, max=4096, step=64, tooltip="In pixels, a multiple of 64."),
        io.Combo.Input(
            "fit",
            options=list(FITS),
            default="crop",
            tooltip="How images get the clip's shape: cropped, padded in black, or stretched.",
        ),
    ]


def pose_inputs() -> list[io.Input]:
    """How strongly, and over which share of the run, the poses guide."""
    percent = {"min": 0.0, "max": 1.0, "step": 0.01}
    return [
        io.Float.Input(
            "pose_strength", default=1.0, min=0.0, max=4.0, step=0.05, tooltip="1 as trained. Try 0.8 for stiff motion."
        ),
        io.Float.Input(
            "pose_start_percent", default=0.0, **percent, tooltip="Share of the run at which poses begin to guide."
        ),
        io.Float.Input(
            "pose_end_percent", default=1.0, **percent, tooltip="Share of the run at which poses stop guiding."
        ),
    ]


@dataclass(frozen=True)
class Encoders:
    """ComfyUI's VAE, CLIP and CLIP_VISION; the last two may be None."""

    vae: Any
    clip: Any = None
    clip_vision: Any = None


@dataclass(frozen=True)
class Clip:
    """A clip ready to sample. latent_size: f, h, w. positive, negative: ComfyUI's CONDITIONING."""

    inputs: ClipInputs
    positive: list
    negative: list
    latent_size: tuple[int, int, int]


def drawn_poses(poses: Tensor) -> DrawnPoses:
    """An IMAGE of drawn poses. Raises ValueError if a pose is no image."""
    return DrawnPoses(check_images("poses", poses))


def prepare_clip(model, encoders: Encoders, guidance: Guidance, node_id: str | None = None) -> Clip:
    """Encode everything that guides one clip. Raises ValueError if a model does not fit."""
    config = network_config(model)
    check_vae(encoders.vae)
    image = None
    if encoders.clip_vision is not None:
        image = embed_image(encoders.clip_vision, config, guidance.seen_reference())
    pose, first_frame = guidance.reference_pose, guidance.first_frame
    inputs = ClipInputs(
        poses=guidance.fitted_poses(),
        reference_latent=encode_image(encoders.vae, guidance.fitted(guidance.reference_image)),
        reference_pose=None if pose is None else guidance.fitted(pose),
        image=image,
        first_frame=None if first_frame is None else guidance.fitted(first_frame),
        pose_range=guidance.pose_range,
    )
    text = empty_prompt(encoders.clip, config)
    warn_left_out(node_id, config, clip=encoders.clip, clip_vision=encoders.clip_vision)
    return Clip(
        inputs,
        positive=[[text, {CLIP_INPUTS: inputs}]],
        negative=[[text, {}]],
        latent_size=(len(guidance), guidance.height // 8, guidance.width // 8),
    )


def network_config(model) -> ModelConfig:
    """The configuration of a MODEL. Raises ValueError if it is another network than UniAnimate."""
    if not isinstance(model.model, UniAnimate):
        raise ValueError(f"model is {type(model.model).__name__}, not UniAnimate: connect the MODEL of Load UniAnimate")
    return model.model.network.config


def check_vae(vae) -> None:
    """Raises ValueError if the VAE is not one of Stable Diffusion 1.x or 2.x."""
    if vae is None:
        raise ValueError("vae is empty: the node before gave none, load a VAE of Stable Diffusion 1.x or 2.x")
    channels = vae.latent_channels
    if channels != LATENT_CHANNELS or vae.latent_dim != 2:
        raise ValueError(
            f"vae makes latents of {channels} channels in {vae.latent_dim} dimensions, UniAnimate takes 4 in 2: load "
            "a VAE of Stable Diffusion 1.x or 2.x, such as vae-ft-mse-840000-ema-pruned"
        )


def encode_image(vae, image: Tensor) -> Tensor:
    """1 3 H W in [0, 1] to 1 4 h w in latent units."""
    return LATENT_SCALE * vae.encode(rearrange(image, "b c h w -> b h w c")).float().cpu()


def embed_image(clip_vision, config: ModelConfig, image: Tensor) -> Tensor:
    """The embedding, 1 1 C, of an image 1 3 h w in [0, 1]. Raises ValueError if its width is not the network's."""
    output = clip_vision.encode_image(rearrange(resize_for_clip(image), "b c h w -> b h w c"))
    embedding = output["image_embeds"].float().cpu()
    if embedding.shape[-1] != config.context_dim:
        raise ValueError(
            f"clip_vision gives embeddings of {embedding.shape[-1]}, this network takes {config.context_dim}: "
            "connect the CLIP_VISION of Load UniAnimate (OpenCLIP ViT-H/14)"
        )
    return rearrange(embedding, "b c -> b 1 c")


def empty_prompt(clip, config: ModelConfig) -> Tensor:
    """The text states of the empty prompt, 1 77 C; zeros without a text encoder."""
    if clip is None:
        return torch.zeros(1, 77, config.context_dim)
    text = clip.encode_from_tokens_scheduled(clip.tokenize(""))[0][0]
    if text.shape[-1] != config.context_dim:
        raise ValueError(
            f"clip gives text states of {text.shape[-1]}, this network takes {config.context_dim}: "
            "connect the CLIP of Load UniAnimate (OpenCLIP ViT-H/14)"
        )
    return text


def warn_left_out(node_id: str | None, config: ModelConfig, **encoders) -> None:
    """Warn if the released network, which was trained with CLIP, runs without it."""
    left_out = [name for name, encoder in encoders.items() if encoder is None]
    if left_out and config.context_dim == 1024:
        say(node_id, f"{' and '.join(left_out)} not connected: zeros instead, the likeness will suffer")


class UniAnimateConditioning(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="UniAnimateConditioning",
            display_name="UniAnimate Conditioning",
            category="UniAnimate",
            description="Reference image and poses as conditioning for KSampler and other samplers.",
            search_aliases=["unianimate", "pose conditioning"],
            inputs=[*guidance_inputs(), *pose_inputs()],
            outputs=[
                io.Conditioning.Output(display_name="positive"),
                io.Conditioning.Output(display_name="negative", tooltip="The empty prompt alone."),
                io.Latent.Output(tooltip="Empty, one latent a frame. Sample it with denoise 1."),
            ],
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
        prepared = prepare_clip(model, Encoders(vae, clip, clip_vision), guidance, cls.hidden.unique_id)
        frames, rows, columns = prepared.latent_size
        latent = {"samples": torch.zeros(frames, LATENT_CHANNELS, rows, columns)}
        return io.NodeOutput(prepared.positive, prepared.negative, latent)
