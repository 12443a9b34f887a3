"""Nodes that read and convert model files."""

from __future__ import annotations

import os
from pathlib import Path

import comfy.clip_vision
import comfy.model_management
import comfy.sd
import comfy.utils
import folder_paths
import torch
from comfy_api.latest import io

from ..unianimate_core.checkpoint import CheckpointError, convert_checkpoint, files
from ..unianimate_core.checkpoint.identify import identify
from . import host_model, model_files
from .model_files import CHECKPOINT, CLIP

NO_CLIP = "none"
PRECISIONS = {"auto": None, "fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


class LoadUniAnimate(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoadUniAnimate",
            display_name="Load UniAnimate",
            category="UniAnimate",
            description="Loads UniAnimate, and the text and image encoders it was trained with.",
            search_aliases=["unianimate", "human animation", "pose to video"],
            inputs=[
                io.Combo.Input(
                    "checkpoint",
                    options=model_files.choices(CHECKPOINT),
                    tooltip="In models/unianimate: the released .pth, or its conversion to .safetensors. "
                    "unianimate_mini comes with the pack: it is small, and knows drawn people alone.",
                ),
                io.Combo.Input(
                    "clip",
                    options=[*model_files.choices(CLIP), NO_CLIP],
                    tooltip="OpenCLIP ViT-H/14, in models/clip_vision or models/text_encoders. "
                    "'none' saves its memory; the released network then works without what it says of the image.",
                ),
                io.Combo.Input(
                    "precision",
                    options=list(PRECISIONS),
                    default="auto",
                    tooltip="Of the weights. auto takes fp16 (2.8 GB) where the card can. For black frames try bf16.",
                ),
            ],
            outputs=[
                io.Model.Output(tooltip="Works with KSampler, Context Windows, EasyCache, LoRA loaders and the like."),
                io.Clip.Output(tooltip="The text encoder, for the empty prompt."),
                io.ClipVision.Output(tooltip="The image encoder, for the reference image."),
            ],
        )

    @classmethod
    def validate_inputs(cls, checkpoint: str | None = None, clip: str | None = None) -> bool | str:
        chosen = [(checkpoint, CHECKPOINT), (None if clip == NO_CLIP else clip, CLIP)]
        return model_files.all_there(*chosen)

    @classmethod
    def fingerprint_inputs(cls, checkpoint: str | None, clip: str | None, precision: str):
        chosen = ((checkpoint, CHECKPOINT), (clip, CLIP))
        found = (model_files.find(name, file) for name, file in chosen if name is not None)
        return [(path, os.path.getmtime(path)) for path in found if path] + [precision]

    @classmethod
    def execute(cls, checkpoint: str, clip: str, precision: str) -> io.NodeOutput:
        model = host_model.load_model(model_files.path_of(checkpoint, CHECKPOINT), PRECISIONS[precision])
        text_encoder, image_encoder = (None, None) if clip == NO_CLIP else load_clip(model_files.path_of(clip, CLIP))
        return io.NodeOutput(model, text_encoder, image_encoder)


def load_clip(path: str):
    """(CLIP, CLIP_VISION) of one OpenCLIP file, read once. Raises CheckpointError where it is not one."""
    state_dict, _ = files.read(path)
    if "visual.transformer.resblocks.0.attn.in_proj_weight" not in state_dict or "ln_final.weight" not in state_dict:
        kind = identify(state_dict)
        looks = f"looks like {kind}, not" if kind else "is not"
        raise CheckpointError(
            f"{os.path.basename(path)} {looks} OpenCLIP with text and image: "
            f"choose {CLIP.name} ({CLIP.size}), from {CLIP.source}"
        )
    image = {name: tensor for name, tensor in state_dict.items() if name.startswith("visual.")}
    text = {name: tensor for name, tensor in state_dict.items() if name not in image}
    vision_model = comfy.clip_vision.load_clipvision_from_sd(image, prefix="visual.", convert_keys=True)
    clip = comfy.sd.load_text_encoder_state_dicts(
        [text], embedding_directory=folder_paths.get_folder_paths("embeddings")
    )
    return clip, vision_model


class ConvertUniAnimate(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ConvertUniAnimate",
            display_name="Convert UniAnimate",
            category="UniAnimate",
            description="Writes the released .pth as .safetensors in half precision: half the size, faster to load.",
            search_aliases=["unianimate", "safetensors"],
            inputs=[
                io.Combo.Input(
                    "checkpoint",
                    options=model_files.choices(CHECKPOINT),
                    tooltip="The file to convert, in models/unianimate. It stays, and the new one goes there too.",
                ),
                io.Combo.Input(
                    "precision",
                    options=["fp16", "bf16", "fp32"],
                    default="fp16",
                    tooltip="Of the weights in the new file: 2.8 GB in fp16 or bf16, 5.7 GB in fp32.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="file", tooltip="Name of the new file, to choose in Load UniAnimate.")
            ],
            is_output_node=True,
        )

    @classmethod
    def validate_inputs(cls, checkpoint: str | None = None) -> bool | str:
        return model_files.all_there((checkpoint, CHECKPOINT))

    @classmethod
    def execute(cls, checkpoint: str, precision: str) -> io.NodeOutput:
        source = Path(model_files.path_of(checkpoint, CHECKPOINT))
        destination = model_files.folder_for_new(source) / f"{source.stem}_{precision}.safetensors"
        bar = comfy.utils.ProgressBar(1)

        def progress(done: int, total: int) -> None:
            comfy.model_management.throw_exception_if_processing_interrupted()
            bar.update_absolute(done, total)

        dtype = PRECISIONS[precision]
        assert dtype is not None
        convert_checkpoint(source, destination, dtype, progress=progress)
        return io.NodeOutput(destination.name)
