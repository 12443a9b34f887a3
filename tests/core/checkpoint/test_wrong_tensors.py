"""Tensors that do not fit, and those of other models, are refused in one sentence."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from tests.support.examples import examples
from tests.support.recorded import HEAD_DIM, tiny_config, tiny_weights
from unianimate_core.checkpoint import CheckpointError, load_unet
from unianimate_core.checkpoint.identify import identify
from unianimate_core.checkpoint.loading import HEAD_DIM_TENSOR
from unianimate_core.config import ConfigError, ModelConfig
from unianimate_core.model import UNet


def load(tensors: Mapping[str, Tensor]) -> UNet:
    return load_unet(tensors, config=tiny_config())


def test_a_missing_tensor_is_named():
    tensors = dict(tiny_weights())
    del tensors["out.2.bias"]
    with pytest.raises(CheckpointError, match=r"the state dict does not fit .* 1 missing \(out\.2\.bias\)$"):
        load(tensors)


def test_an_unexpected_tensor_is_named():
    with pytest.raises(CheckpointError, match=r"1 unexpected \(out\.3\.bias\)$"):
        load({**tiny_weights(), "out.3.bias": torch.zeros(4)})


def test_a_misshapen_tensor_is_named_with_both_shapes():
    with pytest.raises(CheckpointError, match=r"1 misshapen \(out\.2\.bias \[3\] for \[4\]\)$"):
        load({**tiny_weights(), "out.2.bias": torch.zeros(3)})


def test_up_to_five_of_each_are_named():
    """A sentence a user can read, not a thousand names."""
    tensors = {name: tensor for name, tensor in tiny_weights().items() if not name.startswith("output_blocks.7")}
    gone = len(tiny_weights()) - len(tensors)
    tensors |= {f"extra.{i}": torch.zeros(1) for i in range(7)}
    with pytest.raises(CheckpointError) as refusal:
        load(tensors)
    message = str(refusal.value)
    assert f"{gone} missing (" in message
    assert message.count("output_blocks.7") == 5
    assert "7 unexpected (extra.0, extra.1, extra.2, extra.3, extra.4, ...)" in message


EVERY_TENSOR = sorted(tiny_weights())
SHAPES = [(), (0,), (3,), (0, 0), (7, 33), (1, 2, 3), (2, 0, 3, 3), (1, 2, 3, 4, 5)]


@examples(60)
@given(name=st.sampled_from(EVERY_TENSOR), shape=st.sampled_from(SHAPES))
def test_any_misshapen_tensor_is_refused(name, shape):
    """Also those that the configuration is read off: never an IndexError, never a network that half fits."""
    tensors = {**tiny_weights(), name: torch.zeros(shape), HEAD_DIM_TENSOR: torch.tensor(HEAD_DIM)}
    with pytest.raises(CheckpointError):
        load_unet(tensors)


@examples(30)
@given(st.sampled_from(EVERY_TENSOR))
def test_any_missing_tensor_is_refused(name):
    tensors = {**tiny_weights(), HEAD_DIM_TENSOR: torch.tensor(HEAD_DIM)}
    del tensors[name]
    with pytest.raises(CheckpointError):
        load_unet(tensors)


def test_a_configuration_is_checked():
    """Errors of a hand-written configuration are told, not met later as a shape that does not fit."""
    values = {**vars(tiny_config()), "attention_levels": (True,)}
    with pytest.raises(ConfigError, match="attention_levels has 1 entries for 4 levels"):
        ModelConfig(**values)
    with pytest.raises(ConfigError, match="a level has 20 channels: give a multiple of 32"):
        ModelConfig(**{**vars(tiny_config()), "dim": 20})


LOOKALIKES = {
    "a Stable Diffusion checkpoint": [
        "cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight",
        "first_stage_model.decoder.conv_in.weight",
        "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight",
        "model.diffusion_model.time_embed.0.weight",
    ],
    "a Stable Diffusion XL checkpoint": [
        "conditioner.embedders.0.transformer.text_model.encoder.layers.0.mlp.fc1.weight",
        "first_stage_model.decoder.conv_in.weight",
        "model.diffusion_model.input_blocks.4.1.transformer_blocks.0.attn1.to_q.weight",
    ],
    "a U-Net in diffusers' format, such as Stable Diffusion's": [
        "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight",
        "mid_block.resnets.0.conv1.weight",
    ],
    "an AnimateDiff motion module": [
        "module.down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.to_q.weight"
    ],
    "a VAE": ["encoder.down_blocks.0.resnets.0.conv1.weight", "decoder.conv_in.weight", "decoder.mid_block.x.weight"],
    "a LoRA": ["lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.lora_down.weight"],
    "a ControlNet": [
        "control_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight",
        "control_model.zero_convs.0.0.weight",
    ],
    "an OpenCLIP or CLIP file": ["visual.transformer.resblocks.0.mlp.c_fc.weight", "ln_final.weight"],
    "a diffusion transformer": ["blocks.0.cross_attn.q.weight", "patch_embedding.weight"],
    "a text-to-video U-Net of the same family, without pose and reference inputs": [
        "input_blocks.1.0.temopral_conv.conv1.0.weight",
        "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight",
        "time_embed.0.weight",
    ],
}
# Other ways in which the same things are saved.
ALSO = {
    "a Stable Diffusion checkpoint": ["input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight", "time_embed.0.weight"],
    "a LoRA": ["unet.down_blocks.0.attentions.0.processor.to_q_lora.down.weight"],
    "a ControlNet": ["controlnet_cond_embedding.conv_in.weight", "down_blocks.0.resnets.0.conv1.weight"],
    "a VAE": ["encoder.down.0.block.0.conv1.weight", "decoder.mid.block_1.conv1.weight"],
    "a diffusion transformer": ["transformer_blocks.0.attn1.to_q.weight"],
}


@pytest.mark.parametrize(("kind", "names"), [*LOOKALIKES.items(), *ALSO.items()])
def test_another_model_is_named_as_what_it_is(kind, names, tmp_path):
    """Folders are full of files; a user who chose the wrong one learns which it is and which to choose."""
    path = tmp_path / "chosen.safetensors"
    save_file({name: torch.zeros(4, 4) for name in names}, path)
    with pytest.raises(CheckpointError) as refusal:
        load_unet(path)
    assert str(refusal.value).startswith(f"chosen.safetensors looks like {kind}: choose unianimate_16f_32f")


def test_our_own_checkpoint_is_told_from_others():
    assert identify(tiny_weights()) == "a UniAnimate checkpoint"


def test_tensors_of_no_known_model_are_refused():
    with pytest.raises(CheckpointError, match=r"no tensor is named time_embed\.0\.weight: this is not a UniAnimate"):
        load_unet({"weight": torch.zeros(1)})
