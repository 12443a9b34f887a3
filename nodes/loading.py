"""Nodes that load and convert model files."""

from __future__ import annotations

import os
from pathlib import Path

import comfy.clip_vision
import comfy.model_management
import comfy.sd
import comfy.utils
import folder_paths
from comfy_api.latest import io

from ..unianimate_core.checkpoint import CheckpointError, convert_checkpoint, files
from ..unianimate_core.checkpoint.identify import identify
from ..unianimate_core.model_files import CHECKPOINT, CLIP
from ..unianimate_core.precision import DTYPES
from . import host_model, model_files

NO_CLIP = "none"
AUTO = "auto"


class LoadUniAnimate(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoadUniAnimate",
            display_name="Load UniAnimate",
            category="UniAnimate",
            description="Loads a UniAnimate checkpoint, and the text and image encoders it was trained with.",
            search_aliases=["unianimate", "human animation", "pose to video", "animate person"],
            inputs=[
                io.Combo.Input(
                    "checkpoint",
                    options=model_files.choices(CHECKPOINT),
                    tooltip="A file in models/unianimate: the released .pth, its conversion to .safetensors, or "
                    "unianimate_mini, a small model for drawn people that comes with the pack.",
                ),
                io.Combo.Input(
                    "clip",
                    options=[*model_files.choices(CLIP), NO_CLIP],
                    tooltip="OpenCLIP ViT-H/14 in models/clip_vision or models/text_encoders; none saves its "
                    "memory, but then the released model keeps less of the person's likeness.",
                ),
                io.Combo.Input(
                    "precision",
                    options=[AUTO, *DTYPES],
                    default=AUTO,
                    tooltip="Data type of the weights; auto lets ComfyUI choose for the device, try bf16 if frames are "
                    "black.",
                ),
            ],
            outputs=[
                io.Model.Output(tooltip="The model, for UniAnimate Sample, KSampler, LoRA loaders and other nodes."),
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
        dtype = None if precision == AUTO else DTYPES[precision]
        model = host_model.load_model(model_files.path_of(checkpoint, CHECKPOINT), dtype)
        text_encoder, image_encoder = (None, None) if clip == NO_CLIP else load_clip(model_files.path_of(clip, CLIP))
        return io.NodeOutput(model, text_encoder, image_encoder)


def load_clip(path: str):
    """(CLIP, CLIP_VISION) from one OpenCLIP file, read once. Raises CheckpointError if it is another model."""
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


class UniAnimateConvert(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="UniAnimateConvert",
            display_name="UniAnimate Convert",
            category="UniAnimate",
            description="Converts a checkpoint to .safetensors in half precision: half the size, faster to load.",
            search_aliases=["convert checkpoint", "pth to safetensors", "unianimate"],
            inputs=[
                io.Combo.Input(
                    "checkpoint",
                    options=model_files.choices(CHECKPOINT),
                    tooltip="The file in models/unianimate to convert; it stays, and the new file is saved beside it.",
                ),
                io.Combo.Input(
                    "precision",
                    options=list(DTYPES),
                    default="fp16",
                    tooltip="Data type of the new file; the released model has 2.8 GB in fp16 or bf16, 5.7 GB in fp32.",
                ),
            ],
            outputs=[
                io.String.Output(
                    display_name="file_name", tooltip="Name of the new file; choose it in Load UniAnimate."
                )
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

        convert_checkpoint(source, destination, DTYPES[precision], progress=progress)
        return io.NodeOutput(destination.name)
