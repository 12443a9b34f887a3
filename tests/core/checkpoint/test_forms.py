"""Every form of the right file loads, with its configuration."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from tests.core.checkpoint.stored import FORMS, save_safetensors
from tests.support.recorded import HEAD_DIM, tiny_config, tiny_unet, tiny_weights
from unianimate_core.checkpoint import CheckpointError, load_unet, to_checkpoint
from unianimate_core.checkpoint.loading import HEAD_DIM_TENSOR, metadata_of
from unianimate_core.model import UNet


def same_weights(unet: UNet) -> bool:
    expected = tiny_unet().state_dict()
    found = unet.state_dict()
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_checkpoint_loads(form, tmp_path):
    """However it was wrapped or saved again, the weights are the same."""
    path = FORMS[form](dict(tiny_weights()), tmp_path)
    config = None if path.suffix == ".safetensors" else tiny_config()
    assert same_weights(load_unet(path, config=config))


def test_the_network_is_ready_for_inference():
    unet = load_unet(tiny_weights(), config=tiny_config())
    assert not unet.training
    assert not any(parameter.requires_grad for parameter in unet.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_weights_come_in_the_precision_asked_for(dtype, tmp_path):
    path = save_safetensors(tiny_weights(), tmp_path / "unet.safetensors")
    unet = load_unet(path, dtype=dtype)
    assert {parameter.dtype for parameter in unet.parameters()} == {dtype}
    assert unet.dtype == dtype


def test_to_checkpoint_undoes_loading():
    """What is saved again is the released file's tensors, under its names."""
    stored = to_checkpoint(tiny_unet().state_dict(), tiny_config())
    assert stored.keys() == tiny_weights().keys()
    assert all(torch.equal(stored[name], tensor) for name, tensor in tiny_weights().items())


def test_the_head_size_is_read_off_the_metadata(tmp_path):
    """It leaves no trace in the shapes: a wrong one would load and give noise."""
    path = tmp_path / "unet.safetensors"
    save_file(tiny_weights(), path, metadata={"unianimate": json.dumps({"head_dim": HEAD_DIM})})  # as earlier versions
    assert load_unet(path).config.head_dim == HEAD_DIM
    save_file(tiny_weights(), path, metadata=metadata_of(tiny_config()))
    assert load_unet(path).config == tiny_config()


@pytest.mark.parametrize("metadata", ["no json", "[]", '{"heads": 2}', '{"head_dim": null}'])
def test_metadata_that_is_no_configuration_is_refused(metadata, tmp_path):
    path = tmp_path / "unet.safetensors"
    save_file(tiny_weights(), path, metadata={"unianimate": metadata})
    with pytest.raises(CheckpointError, match=r"unet\.safetensors has metadata 'unianimate' that is no configuration"):
        load_unet(path)


@pytest.mark.parametrize("head_dim", [0, -16, 48, 64])
def test_an_impossible_head_size_is_refused(head_dim):
    with pytest.raises(CheckpointError, match=f"head_dim.*{head_dim}"):
        load_unet({**tiny_weights(), HEAD_DIM_TENSOR: torch.tensor(head_dim)})
