"""Recognizes other models by the names of their tensors, for messages about a wrong file."""

from __future__ import annotations

from collections.abc import Collection

UNIANIMATE = "a UniAnimate checkpoint"

# (kind, pieces of tensor names that identify it). The first kind with a match counts, so a whole checkpoint comes
# before its parts, and names that only one kind has come before names that several kinds share.
_KINDS = (
    ("a LoRA", ("lora_up.", "lora_down.", "lora_A.", "lora_B.", "lora.up.", "lora.down.")),
    ("an AnimateDiff motion module", ("motion_modules.",)),
    ("a ControlNet", ("control_model.", "zero_convs.", "controlnet_cond_embedding.")),
    (UNIANIMATE, ("dwpose_embedding.",)),
    ("a text-to-video U-Net of the same family, without pose and reference inputs", ("temopral_conv.",)),
    ("a Stable Diffusion XL checkpoint", ("conditioner.embedders.",)),
    ("a Stable Diffusion checkpoint", ("cond_stage_model.", "first_stage_model.", "input_blocks.")),
    ("a diffusion transformer", ("double_blocks.", "joint_blocks.", "blocks.0.cross_attn.")),
    ("a VAE", ("decoder.conv_in.", "decoder.mid.", "taesd_decoder.")),
    ("an OpenCLIP or CLIP file", ("visual.transformer.", "text_model.encoder.", "vision_model.encoder.")),
    ("a U-Net in diffusers' format, such as Stable Diffusion's", ("down_blocks.", "mid_block.")),
    ("a diffusion transformer", ("transformer_blocks.",)),
)


def identify(names: Collection[str]) -> str | None:
    """The kind of model that has tensors of these names, as a phrase for a message; None for an unknown one."""
    for kind, pieces in _KINDS:
        if any(piece in name for piece in pieces for name in names):
            return kind
    return None
