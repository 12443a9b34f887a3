"""Checkpoints with the temporal Mamba: recognized, loaded strictly, and kept in full precision where it matters."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.examples import examples
from tests.support.mamba import mamba_config, mamba_unet, mamba_weights
from tests.support.recorded import tiny_config, tiny_weights
from unianimate_core.checkpoint import CheckpointError, convert_checkpoint, load_unet, to_checkpoint
from unianimate_core.checkpoint.loading import HEAD_DIM_TENSOR, metadata_of
from unianimate_core.config import ConfigError, MambaConfig, ModelConfig

FORMS = [(1, False), (1, True), (2, False), (2, True)]
FIRST = "input_blocks.0.1.mamba_blocks.0."


@pytest.mark.parametrize(("expand", "keep_ff"), FORMS)
def test_its_form_is_read_off_the_shapes(expand, keep_ff):
    config = ModelConfig.from_state_dict(mamba_weights(expand, keep_ff), head_dim=16)
    assert config == mamba_config(expand, keep_ff)
    assert config.mamba == MambaConfig(expand=expand, keep_ff=keep_ff, d_state=16, d_conv=4)


def test_a_transformer_has_none():
    assert tiny_config().mamba is None


def test_the_configuration_is_read_off_meta_tensors():
    shapes = {name: x.to("meta") for name, x in mamba_weights().items()}
    assert ModelConfig.from_state_dict(shapes, head_dim=16) == mamba_config()


def test_saving_undoes_loading():
    stored = to_checkpoint(mamba_unet().state_dict(), mamba_config())
    assert stored.keys() == mamba_weights().keys()
    assert all(torch.equal(stored[name], x) for name, x in mamba_weights().items())


def test_what_surrounds_the_mixer_keeps_its_names():
    """Norm and projections of each temporal module are the Transformer's: to-mamba takes them as they are."""
    ours, theirs = set(mamba_weights()), set(tiny_weights())
    assert all("mamba_blocks.0." in name for name in ours - theirs)
    assert all("transformer_blocks.0." in name for name in theirs - ours)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_decay_and_gate_stay_in_full_precision(dtype, tmp_path):
    """Loaded and converted: the rest is halved, A and D are not."""
    source, half = tmp_path / "a.safetensors", tmp_path / "half.safetensors"
    save_file(mamba_weights(), source, metadata=metadata_of(mamba_config()))
    convert_checkpoint(source, half, dtype)
    for stored in (load_file(half), to_checkpoint(load_unet(source, dtype=dtype).state_dict(), mamba_config())):
        full = {name for name, x in stored.items() if x.dtype == torch.float32}
        assert full == {name for name in stored if name.endswith(("A_log", "A_b_log", ".D", ".D_b", ".alpha"))}
        assert all(torch.equal(stored[name], mamba_weights()[name]) for name in full)
        assert {x.dtype for name, x in stored.items() if name not in full} == {dtype}
    loaded = load_unet(half)
    assert loaded.dtype == dtype
    assert loaded.stem.temporal.block.mixer.A_log.dtype == torch.float32


def refused(tensors: dict[str, Tensor]) -> str:
    with pytest.raises(CheckpointError) as refusal:
        load_unet({**tensors, HEAD_DIM_TENSOR: torch.tensor(16)})
    return str(refusal.value)


def test_a_missing_mixer_is_named():
    tensors = dict(mamba_weights())
    del tensors["output_blocks.5.2.mamba_blocks.0.mixer.x_proj_b.weight"]
    assert "1 missing (output_blocks.5.2.mamba_blocks.0.mixer.x_proj_b.weight)" in refused(tensors)


def test_modules_of_both_kinds_are_refused():
    """A file that somebody merged: half of it would be left unused."""
    tensors = mamba_weights() | {name: x for name, x in tiny_weights().items() if name.startswith("input_blocks.0.")}
    assert "unexpected (input_blocks.0.1.transformer_blocks.0." in refused(tensors)


def test_an_inner_width_that_is_no_multiple_is_told():
    tensors = mamba_weights() | {FIRST + "mixer.A_log": torch.zeros(47, 16)}
    assert f"1 misshapen ({FIRST}mixer.A_log [47, 16] for" in refused(tensors)


MAMBA_TENSORS = sorted(name for name in mamba_weights() if "mamba_blocks" in name)
# The last three are those of a block of another form.
SHAPES = [(), (0,), (3,), (0, 0), (7, 33), (1, 2, 3), (2, 0, 3), (64, 8), (32, 16), (64, 1, 3)]


@examples(30)
@given(name=st.sampled_from(MAMBA_TENSORS), shape=st.sampled_from(SHAPES))
def test_any_misshapen_tensor_is_refused(name, shape):
    assert name in refused(mamba_weights() | {name: torch.zeros(shape)})


@examples(20)
@given(st.sampled_from(MAMBA_TENSORS))
def test_any_missing_tensor_is_refused(name):
    tensors = dict(mamba_weights())
    del tensors[name]
    refused(tensors)


@pytest.mark.parametrize("change", [{"expand": 0}, {"d_state": 0}, {"d_conv": -1}])
def test_a_form_that_cannot_be_is_refused(change):
    (name,) = change
    with pytest.raises(ConfigError, match=f"{name} of the temporal Mamba is {change[name]}: it must be at least 1"):
        MambaConfig(**{"expand": 2, "keep_ff": False} | change)


def test_the_stem_of_a_mamba_need_not_divide_into_heads():
    """Its width is bound to heads only where there is attention."""
    config = dataclasses.replace(mamba_config(), stem_width=24)
    assert config.stem_width == 24
    with pytest.raises(ConfigError, match="head_dim 16 does not divide the attention width 24"):
        dataclasses.replace(config, mamba=None)
