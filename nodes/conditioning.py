"""From images to conditioning: what guides one clip, for any sampler."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from comfy_api.latest import io
from einops import rearrange
from torch import Tensor

from ..unianimate_core.config import LATENT_CHANNELS, ModelConfig
from ..unianimate_core.diffusion import LATENT_SCALE
from ..unianimate_core.encoders import resize_for_clip
from ..unianimate_core.model.conditions import PoseRange
from . import images as images
from .host_model import CLIP_INPUTS, ClipInputs, UniAnimate
from .messages import say


def guidance_inputs(poses: io.Input | None = None) -> list[io.Input]:
    """The inputs that describe a clip, which every sampling node takes. poses: in place of drawn ones."""
    drawn = io.Image.Input("poses", tooltip="The driving poses, drawn; one frame each. A single one reposes the image.")
    return [
        io.Model.Input("model", tooltip="From Load UniAnimate; patches such as Context Windows or LoRA may be on it."),
        io.Vae.Input("vae", tooltip="Any VAE of Stable Diffusion 1.x or 2.x."),
        io.Image.Input("reference_image", tooltip="One image of the person to animate."),
        io.Image.Input("reference_pose", tooltip="The pose of the person in the reference image, drawn on its canvas."),
        poses or drawn,
        io.Clip.Input(
            "clip", optional=True, tooltip="From Load UniAnimate. Left out: zeros in place of the empty prompt."
        ),
        io.ClipVision.Input(
            "clip_vision",
            optional=True,
            tooltip="From Load UniAnimate. Left out: nothing said of the reference image.",
        ),
        io.Image.Input(
            "first_frame",
            optional=True,
            tooltip="An image that frame 0 shall be, for instance the end of a clip before.",
        ),
        io.Int.Input(
            "width", default=512, min=64, max=4096, step=64, tooltip="In pixels. Trained at 512x768; 768x1216 works."
        ),
        io.Int.Input("height", default=768, min=64, max=4096, step=64, tooltip="In pixels, a multiple of 64."),
        io.Combo.Input(
            "fit",
            options=images.FITS,
            default="crop",
            tooltip="How reference, poses and first frame get the clip's shape: cut, with black bars, or squashed.",
        ),
    ]


def pose_inputs() -> list[io.Input]:
    """How much, and when, the poses guide."""
    percent = {"min": 0.0, "max": 1.0, "step": 0.01}
    return [
        io.Float.Input(
            "pose_strength", default=1.0, min=0.0, max=4.0, step=0.05, tooltip="1 as trained; try 0.8 for stiff motion."
        ),
        io.Float.Input(
            "pose_start", default=0.0, **percent, tooltip="Share of the run at which the poses begin to guide."
        ),
        io.Float.Input("pose_end", default=1.0, **percent, tooltip="Share of the run at which the poses stop guiding."),
    ]


@dataclass(frozen=True)
class Clip:
    """A clip ready to sample. latent_size: f, h, w. positive, negative: ComfyUI's CONDITIONING."""

    inputs: ClipInputs
    positive: list
    negative: list
    latent_size: tuple[int, int, int]


def prepare_clip(
    model,
    vae,
    reference_image: Tensor,
    reference_pose: Tensor,
    poses: Tensor,
    width: int,
    height: int,
    fit: str,
    *,
    pose_range: PoseRange,
    clip=None,
    clip_vision=None,
    first_frame: Tensor | None = None,
    node_id: str | None = None,
) -> Clip:
    """Check and encode everything that guides one clip. Raises ValueError in one sentence for what does not fit."""
    config = network_config(model)
    images.check_size(width, height)
    check_vae(vae)
    reference = images.check_images("reference_image", reference_image, single=True)
    reference_pose = images.check_images("reference_pose", reference_pose, single=True)
    poses = images.check_images("poses", poses)
    images.check_same_canvas("poses", poses, "reference_pose", reference_pose, "draw both on the same canvas")
    if fit != "stretch":
        remedy = "draw the pose on the image's canvas, or set fit to stretch"
        images.check_same_canvas("reference_pose", reference_pose, "reference_image", reference, remedy)
    if first_frame is not None:
        first_frame = images.check_images("first_frame", first_frame, single=True)
        first_frame = images.fit_images(first_frame, width, height, fit)

    inputs = ClipInputs(
        poses=images.fit_images(poses, width, height, fit),
        reference_latent=encode_image(vae, images.fit_images(reference, width, height, fit)),
        reference_pose=images.fit_images(reference_pose, width, height, fit),
        image=None if clip_vision is None else embed_image(clip_vision, config, reference, width, height, fit),
        first_frame=first_frame,
        pose_range=pose_range,
    )
    text = empty_prompt(clip, config)
    tell_left_out(node_id, config, clip=clip, clip_vision=clip_vision)
    return Clip(
        inputs,
        positive=[[text, {CLIP_INPUTS: inputs}]],
        negative=[[text, {}]],
        latent_size=(len(poses), height // 8, width // 8),
    )


def network_config(model) -> ModelConfig:
    """The configuration of a MODEL. Raises ValueError where it is another network than UniAnimate."""
    if not isinstance(model.model, UniAnimate):
        raise ValueError(f"model is {type(model.model).__name__}, not UniAnimate: connect the MODEL of Load UniAnimate")
    return model.model.network.config


def check_vae(vae) -> None:
    """Raises ValueError where the VAE is not one of Stable Diffusion 1.x or 2.x."""
    if vae is None:
        raise ValueError("vae is empty: the node before gave none, load a VAE of Stable Diffusion 1.x or 2.x")
    channels = vae.latent_channels
    if channels != LATENT_CHANNELS or vae.latent_dim != 2:
        raise ValueError(
            f"vae makes latents of {channels} channels in {vae.latent_dim} dimensions, UniAnimate takes 4 in 2: load "
            "a VAE of Stable Diffusion 1.x or 2.x, such as vae-ft-mse-840000-ema-pruned"
        )


def encode_image(vae, image: Tensor) -> Tensor:
    """1 3 H W in 0..1 to 1 4 h w in latent units."""
    return LATENT_SCALE * vae.encode(rearrange(image, "b c h w -> b h w c")).float().cpu()


def embed_image(clip_vision, config: ModelConfig, reference: Tensor, width: int, height: int, fit: str) -> Tensor:
    """The image embedding, 1 1 C, of the part of the reference that the clip shows."""
    image = resize_for_clip(images.frame(reference, width, height, fit))
    output = clip_vision.encode_image(rearrange(image, "b c h w -> b h w c"))
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


def tell_left_out(node_id: str | None, config: ModelConfig, **encoders) -> None:
    """Say so where the released network, which was trained with CLIP, runs without it."""
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
                io.Latent.Output(tooltip="Empty, one latent a frame: sample it with denoise 1."),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    def execute(cls, pose_strength, pose_start, pose_end, **guidance) -> io.NodeOutput:
        pose_range = PoseRange(pose_strength, pose_start, pose_end)
        prepared = prepare_clip(**guidance, pose_range=pose_range, node_id=cls.hidden.unique_id)
        frames, height, width = prepared.latent_size
        latent = {"samples": torch.zeros(frames, LATENT_CHANNELS, height, width)}
        return io.NodeOutput(prepared.positive, prepared.negative, latent)
