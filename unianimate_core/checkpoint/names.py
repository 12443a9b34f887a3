"""The one table that translates between the tensor names of a checkpoint and the parameter names of the modules.

Braces stand for several tensors of the checkpoint that one module stacks along the first axis: `to_{q,k,v}` is to_q,
to_k, to_v.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..config import ModelConfig

RESIDUAL = {
    "stage_in.norm": "in_layers.0",
    "stage_in.conv": "in_layers.2",
    "time": "emb_layers.1",
    "stage_out.norm": "out_layers.0",
    "stage_out.conv": "out_layers.3",
    "skip": "skip_connection",
    "temporal_conv.stages.0.norm": "temopral_conv.conv1.0",
    "temporal_conv.stages.0.conv": "temopral_conv.conv1.2",
    "temporal_conv.stages.1.norm": "temopral_conv.conv2.0",
    "temporal_conv.stages.1.conv": "temopral_conv.conv2.3",
    "temporal_conv.stages.2.norm": "temopral_conv.conv3.0",
    "temporal_conv.stages.2.conv": "temopral_conv.conv3.3",
    "temporal_conv.stages.3.norm": "temopral_conv.conv4.0",
    "temporal_conv.stages.3.conv": "temopral_conv.conv4.3",
}
TRANSFORMER = {
    "norm": "norm",
    "proj_in": "proj_in",
    "proj_out": "proj_out",
    "block.norm1": "transformer_blocks.0.norm1",
    "block.norm2": "transformer_blocks.0.norm2",
    "block.norm3": "transformer_blocks.0.norm3",
    "block.feed_forward.proj": "transformer_blocks.0.ff.net.0.proj",
    "block.feed_forward.out": "transformer_blocks.0.ff.net.2",
}
SPATIAL = TRANSFORMER | {
    "block.self_attention.qkv": "transformer_blocks.0.attn1.to_{q,k,v}",
    "block.self_attention.out": "transformer_blocks.0.attn1.to_out.0",
    "block.cross_attention.q": "transformer_blocks.0.attn2.to_q",
    "block.cross_attention.kv": "transformer_blocks.0.attn2.to_{k,v}",
    "block.cross_attention.out": "transformer_blocks.0.attn2.to_out.0",
}
# Vision Mamba's names, which the modules here share.
MIXER_LAYERS = ("in_proj", "conv1d", "conv1d_b", "x_proj", "x_proj_b", "dt_proj", "dt_proj_b", "out_proj")
TEMPORAL = TRANSFORMER | {
    "block.attention1.qkv": "transformer_blocks.0.attn1.to_{q,k,v}",
    "block.attention1.out": "transformer_blocks.0.attn1.to_out.0",
    "block.attention2.qkv": "transformer_blocks.0.attn2.to_{q,k,v}",
    "block.attention2.out": "transformer_blocks.0.attn2.to_out.0",
}
MAMBA = {
    "norm": "norm",
    "proj_in": "proj_in",
    "proj_out": "proj_out",
    "block": "mamba_blocks.0",
    "block.norm1": "mamba_blocks.0.norm1",
    "block.mixer": "mamba_blocks.0.mixer",
    **{f"block.mixer.{layer}": f"mamba_blocks.0.mixer.{layer}" for layer in MIXER_LAYERS},
    "block.norm2": "mamba_blocks.0.norm2",
    "block.feed_forward.proj": "mamba_blocks.0.ff.net.0.proj",
    "block.feed_forward.out": "mamba_blocks.0.ff.net.2",
}
IMAGE_ENCODER = {"conv1": "0", "conv2": "3", "conv3": "5"}
LATENT_ENCODER = {"conv1": "0", "conv2": "2", "conv3": "4"}
MIXER = {
    "norm": "layers.0.0.norm",
    "qkv": "layers.0.0.fn.to_qkv",
    "out": "layers.0.0.fn.to_out.0",
    "widen": "layers.0.1.net.0.0",
    "narrow": "layers.0.1.net.2",
}
SINGLE = {
    "time1": "time_embed.0",
    "time2": "time_embed.2",
    "conditions.image_tokens.linear1": "pre_image_condition.0",
    "conditions.image_tokens.linear2": "pre_image_condition.2",
    "stem.conv": "input_blocks.0.0",
    "head.norm": "out.0",
    "head.conv": "out.2",
}

# Checkpoints store these with one more axis of size 1: a 1-wide Conv1d is a linear layer here, and a Conv3d over frames
# is a Conv2d over tall images.
_TRAILING_AXIS = re.compile(r"temporal\.proj_(in|out)\.weight|temporal_conv\.stages\.\d\.conv\.weight")


def _groups(config: ModelConfig) -> Iterator[tuple[str, str, dict[str, str]]]:
    """(prefix in the modules, prefix in the checkpoint, table of the names after the prefixes)."""
    conditions = "conditions."
    yield conditions + "pose", "dwpose_embedding", IMAGE_ENCODER
    yield conditions + "pose.mixer", "dwpose_embedding_after", MIXER
    yield conditions + "first_frame", "local_image_embedding", IMAGE_ENCODER
    yield conditions + "first_frame.mixer", "local_image_embedding_after", MIXER
    yield conditions + "reference", "randomref_embedding2", LATENT_ENCODER
    yield conditions + "reference.mixer", "randomref_embedding_after2", MIXER
    yield conditions + "reference_pose", "randomref_pose2_embedding", IMAGE_ENCODER
    yield conditions + "reference_pose.mixer", "randomref_pose2_embedding_after", MIXER
    temporal = TEMPORAL if config.mamba is None else MAMBA
    yield "stem.temporal", "input_blocks.0.1", temporal

    levels, block = len(config.multipliers), 1
    for level in range(levels):
        for stage in range(config.residual_blocks):
            yield from _stage(f"down.{level}.stages.{stage}", f"input_blocks.{block}", temporal)
            block += 1
        yield f"down.{level}", f"input_blocks.{block}", {"downsample": "op"}
        block += 1

    yield from _stage("middle.stage", "middle_block", temporal)
    yield "middle.residual", "middle_block.3", RESIDUAL

    block = 0
    for level, attends in enumerate(reversed(config.attention_levels)):
        for stage in range(config.residual_blocks + 1):
            yield from _stage(f"up.{level}.stages.{stage}", f"output_blocks.{block}", temporal)
            block += 1
        position = 3 if attends else 1
        yield f"up.{level}", f"output_blocks.{block - 1}.{position}", {"upsample.conv": "conv"}


def _stage(module: str, checkpoint: str, temporal: dict[str, str]) -> Iterator[tuple[str, str, dict[str, str]]]:
    yield f"{module}.residual", f"{checkpoint}.0", RESIDUAL
    yield f"{module}.spatial", f"{checkpoint}.1", SPATIAL
    yield f"{module}.temporal", f"{checkpoint}.2", temporal


# Always fp32: rounding them to half precision would change the decay of the state by a lot.
_FULL_PRECISION = re.compile(r"mamba_blocks\.0\.(alpha|mixer\.(A_log|A_b_log|D|D_b))$")


def precision_of(stored_name: str, dtype: torch.dtype | None) -> torch.dtype | None:
    """The dtype of a checkpoint tensor in a network of the given dtype. None leaves the tensor as it is."""
    return torch.float32 if _FULL_PRECISION.search(stored_name) else dtype


@dataclass(frozen=True)
class Entry:
    """One parameter of the network: its name and shape, and the names and the shape of its checkpoint tensors."""

    name: str
    shape: tuple[int, ...]
    stored_names: tuple[str, ...]
    stored_shape: tuple[int, ...]


def entries(config: ModelConfig, shapes: Mapping[str, tuple[int, ...]]) -> list[Entry]:
    """How each parameter is stored. shapes: parameter name -> shape, for a network with this configuration."""
    table = dict(SINGLE)
    for module, checkpoint, names in _groups(config):
        table |= {f"{module}.{ours}": f"{checkpoint}.{theirs}" for ours, theirs in names.items()}
    return [_entry(name, shape, table) for name, shape in shapes.items()]


def _entry(name: str, shape: tuple[int, ...], table: Mapping[str, str]) -> Entry:
    module, kind = name.rsplit(".", 1)
    stored_names = tuple(f"{stored}.{kind}" for stored in _expand(table[module]))
    stored_shape = (shape[0] // len(stored_names), *shape[1:])
    if _TRAILING_AXIS.search(name):
        stored_shape = (*stored_shape, 1)
    return Entry(name, shape, stored_names, stored_shape)


def _expand(name: str) -> list[str]:
    match = re.search(r"\{(.+)\}", name)
    if match is None:
        return [name]
    return [name[: match.start()] + part + name[match.end() :] for part in match[1].split(",")]


def stack(entry: Entry, stored: list[Tensor]) -> Tensor:
    """The parameter made of its stored tensors. Several tensors are copied into one; a single one is not copied."""
    whole = stored[0] if len(stored) == 1 else torch.cat(stored)
    return whole.reshape(entry.shape)


def unstack(entry: Entry, parameter: Tensor) -> dict[str, Tensor]:
    """The stored tensors of a parameter by name, as views of it."""
    pieces = parameter.chunk(len(entry.stored_names))
    return {name: piece.reshape(entry.stored_shape) for name, piece in zip(entry.stored_names, pieces, strict=True)}
