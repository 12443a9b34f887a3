"""Saying what a file is, when it is not a UniAnimate checkpoint."""

from __future__ import annotations

from collections.abc import Collection

# Telling pieces of tensor names, most special first.
_KINDS = (
    ("a LoRA", ("lora_up.", "lora_down.", "lora_A.", "lora_B.")),
    ("an AnimateDiff motion module", ("motion_modules.",)),
    ("a ControlNet", ("control_model.", "zero_convs.", "controlnet_cond_embedding.")),
    ("a Stable Diffusion XL checkpoint", ("conditioner.embedders.",)),
    (
        "a Stable Diffusion checkpoint",
        ("cond_stage_model.", "first_stage_model.", "model.diffusion_model.input_blocks."),
    ),
    ("a network in diffusers' format, such as Stable Diffusion's", ("down_blocks.", "mid_block.")),
    ("an OpenCLIP or CLIP file", ("visual.transformer.", "text_model.encoder.", "vision_model.encoder.")),
    ("a VAE", ("decoder.conv_in.", "decoder.mid.", "taesd_decoder.")),
    (
        "a video diffusion transformer",
        ("transformer_blocks.", "double_blocks.", "joint_blocks.", "blocks.0.cross_attn."),
    ),
    ("a text-to-video U-Net of the same family, without pose and reference inputs", ("temopral_conv.",)),
)


def identify(names: Collection[str]) -> str | None:
    """What a file with these tensor names looks like, or None."""
    for kind, pieces in _KINDS:
        if any(piece in name for piece in pieces for name in names):
            return kind
    return None
