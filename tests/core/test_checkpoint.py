"""Checkpoints: every form of the right file loads, every wrong one is refused in one sentence."""

from __future__ import annotations

import json
import pickle
import shutil
from collections import namedtuple
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.parity.made_up import HEAD_DIM, tiny_config, tiny_unet, tiny_weights
from unianimate_core.checkpoint import CheckpointError, convert_checkpoint, files, load_unet, to_checkpoint
from unianimate_core.checkpoint.identify import identify
from unianimate_core.checkpoint.loading import HEAD_DIM_TENSOR, metadata_of
from unianimate_core.config import ConfigError, ModelConfig
from unianimate_core.model import UNet


def save_safetensors(tensors: Mapping[str, Tensor], path: Path) -> Path:
    save_file(dict(tensors), path, metadata=metadata_of(tiny_config()))
    return path


def save_pickle(content, path: Path) -> Path:
    torch.save(content, path)
    return path


def same_weights(unet: UNet) -> bool:
    expected = tiny_unet().state_dict()
    found = unet.state_dict()
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


# -- forms of the right file ------------------------------------------------------------------------------------------

FORMS: dict[str, Callable[[dict[str, Tensor], Path], Path]] = {
    "plain pickle": lambda tensors, folder: save_pickle(tensors, folder / "unet.pth"),
    "wrapped pickle": lambda tensors, folder: save_pickle({"state_dict": tensors, "step": 223000}, folder / "unet.pth"),
    "old pickle": lambda tensors, folder: _save_old_pickle(tensors, folder / "unet.pth"),
    "data-parallel pickle": lambda tensors, folder: save_pickle(
        {f"module.{name}": tensor for name, tensor in tensors.items()}, folder / "unet.pt"
    ),
    "safetensors": lambda tensors, folder: save_safetensors(tensors, folder / "unet.safetensors"),
    "saved by a host": lambda tensors, folder: _save_as_host(tensors, folder / "unet.safetensors"),
}


def _save_old_pickle(tensors: dict[str, Tensor], path: Path) -> Path:
    torch.save(tensors, path, _use_new_zipfile_serialization=False)
    return path


def _save_as_host(tensors: dict[str, Tensor], path: Path) -> Path:
    """With the prefix and the mark of v-prediction that ComfyUI's ModelSave writes, and our mark of the head size."""
    prefixed = {f"model.diffusion_model.{name}": tensor for name, tensor in tensors.items()}
    save_file(prefixed | {"v_pred": torch.tensor([]), HEAD_DIM_TENSOR: torch.tensor(HEAD_DIM)}, path)
    return path


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


# -- tensors that do not fit ------------------------------------------------------------------------------------------


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


@settings(deadline=None, max_examples=60)
@given(name=st.sampled_from(EVERY_TENSOR), shape=st.sampled_from(SHAPES))
def test_any_misshapen_tensor_is_refused(name, shape):
    """Also those that the configuration is read off: never an IndexError, never a network that half fits."""
    tensors = {**tiny_weights(), name: torch.zeros(shape), HEAD_DIM_TENSOR: torch.tensor(HEAD_DIM)}
    with pytest.raises(CheckpointError):
        load_unet(tensors)


@settings(deadline=None, max_examples=30)
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


# -- files of something else ------------------------------------------------------------------------------------------

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


# -- files that are damaged or not what their name says ---------------------------------------------------------------


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nowhere\.pth"):
        load_unet(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("content", [b"", b"a text\n" * 20, b"<html>not found</html>", b"version https://git-lfs\n"])
def test_a_file_that_is_no_checkpoint_is_refused(content, suffix, tmp_path):
    """Web pages saved as weights and Git LFS pointers are common; neither is to be called dangerous."""
    path = tmp_path / f"unet{suffix}"
    path.write_bytes(content)
    said = f"is text .*unet{suffix}|unet{suffix} is text" if content else r"\(0 bytes\) is cut off, damaged, or no"
    with pytest.raises(CheckpointError, match=said):
        load_unet(path)


@pytest.mark.parametrize(("value", "said"), [(1e6, "too large for torch.float16"), (float("nan"), "are not numbers")])
def test_conversion_never_writes_what_is_no_number(tmp_path, value, said):
    """fp16 ends at 65504: a larger weight would become infinite, and every video black."""
    broken = {name: tensor.clone() for name, tensor in tiny_weights().items()}
    broken["out.2.bias"][0] = value
    save_file(broken, tmp_path / "broken.safetensors", metadata=metadata_of(tiny_config()))
    with pytest.raises(CheckpointError, match=f"out.2.bias holds values .*{said}"):
        convert_checkpoint(tmp_path / "broken.safetensors", tmp_path / "new.safetensors")
    assert {path.name for path in tmp_path.iterdir()} == {"broken.safetensors"}


def test_tensors_of_whole_numbers_are_refused():
    whole = {name: tensor.int() if name == "out.2.bias" else tensor for name, tensor in tiny_weights().items()}
    with pytest.raises(CheckpointError, match=r"1 of whole numbers \(out.2.bias torch.int32\)"):
        load_unet(whole, config=tiny_config())


@pytest.mark.parametrize("form", ["plain pickle", "old pickle", "safetensors"])
def test_a_file_cut_off_anywhere_is_refused(form, tmp_path):
    """Half downloads: told with the size, so that it can be compared with the published one."""
    whole = FORMS[form]({f"weight{i}": torch.ones(8, 8) for i in range(3)}, tmp_path)
    content = whole.read_bytes()
    for share in (0.001, 0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99):
        whole.write_bytes(content[: int(len(content) * share)])
        with pytest.raises(CheckpointError):
            files.read(whole)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("form", ["plain pickle", "old pickle", "safetensors"])
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_never_raises_anything_else(form, data, tmp_path):
    """A flipped byte gives CheckpointError or, where it hits no structure, other numbers."""
    path = FORMS[form]({f"weight{i}": torch.ones(8, 8) for i in range(3)}, tmp_path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, min(len(content), 700) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        tensors, _ = files.read(path)
        assert tensors
    except CheckpointError:
        pass


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([torch.zeros(1)], "holds a list: a checkpoint holds tensors by name"),
        ({"step": 1}, "holds no tensors"),
        ({"state_dict": {}}, "holds no tensors"),
        ({0: torch.zeros(1)}, "holds no tensors"),
    ],
)
def test_a_pickle_of_something_else_is_refused(content, reason, tmp_path):
    with pytest.raises(CheckpointError, match=f"other.pth {reason}"):
        load_unet(save_pickle(content, tmp_path / "other.pth"))


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def save_trap(form: str, path: Path, trap: Trap) -> None:
    weights = {"out.2.bias": torch.zeros(4)}
    if form == "not PyTorch's":
        path.write_bytes(pickle.dumps({"trap": trap}, protocol=2))
    else:
        content = {"state_dict": weights, "extra": trap} if form == "wrapped" else weights | {"trap": trap}
        torch.save(content, path, _use_new_zipfile_serialization=form != "old")


@pytest.mark.parametrize("form", ["plain", "wrapped", "old", "not PyTorch's"])
def test_a_pickle_cannot_run_code(form, tmp_path):
    """Checkpoints come from strangers."""
    touched, path = tmp_path / "touched", tmp_path / "unet.pth"
    save_trap(form, path, Trap(touched))
    with pytest.raises(CheckpointError, match=r"unet\.pth holds more than tensors and could run code when opened"):
        load_unet(path)
    assert not touched.exists()


# -- the converter ----------------------------------------------------------------------------------------------------


@pytest.fixture
def source(tmp_path) -> Path:
    return save_safetensors(tiny_weights(), tmp_path / "source.safetensors")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_converter_keeps_names_and_rounds_weights(source, dtype):
    """The result loads wherever the original does, in the authors' code too."""
    destination = source.with_name("converted.safetensors")
    convert_checkpoint(source, destination, dtype)
    converted = load_file(destination)
    assert converted.keys() == tiny_weights().keys()
    assert all(torch.equal(converted[name], tensor.to(dtype)) for name, tensor in tiny_weights().items())


def test_the_converter_takes_pickles_and_writes_the_configuration(tmp_path):
    """The released file is a pickle; a network with another head size than 64 must not lose it on the way.

    The rest is for people and other programs, which then need not guess it from shapes.
    """
    prefixed = {**tiny_weights(), HEAD_DIM_TENSOR: torch.tensor(HEAD_DIM)}
    path = save_pickle({"state_dict": prefixed}, tmp_path / "unet.pth")
    convert_checkpoint(path, tmp_path / "unet.safetensors")
    with safe_open(tmp_path / "unet.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["unianimate"]) == json.loads(json.dumps(asdict(tiny_config())))
    assert load_unet(tmp_path / "unet.safetensors").config == tiny_config()


def test_the_converter_tells_its_progress(source):
    told = []
    convert_checkpoint(source, source.with_name("converted.safetensors"), progress=lambda *step: told.append(step))
    assert told == [(done, len(tiny_weights())) for done in range(1, len(tiny_weights()) + 1)]


class Stopped(Exception):
    pass


def stop_halfway(done: int, total: int) -> None:
    if done > total // 2:
        raise Stopped


def fail_after_some_bytes(tensors, path, **_):
    Path(path).write_bytes(b"some bytes")
    raise OSError("No space left on device")


@pytest.mark.parametrize("old", [None, b"an old file"])
@pytest.mark.parametrize("failure", ["interrupted", "disk fails while writing"])
def test_a_failed_conversion_leaves_nothing_behind(failure, old, source, monkeypatch):
    """No half file that looks whole, no hidden remains, and an old destination survives."""
    destination = source.with_name("converted.safetensors")
    if old is not None:
        destination.write_bytes(old)
    before = contents(source.parent)
    if failure == "interrupted":
        with pytest.raises(Stopped):
            convert_checkpoint(source, destination, progress=stop_halfway)
    else:
        monkeypatch.setattr("unianimate_core.checkpoint.loading.save_file", fail_after_some_bytes)
        with pytest.raises(OSError, match="No space left"):
            convert_checkpoint(source, destination)
    assert contents(source.parent) == before


def test_a_conversion_replaces_an_old_file_and_leaves_no_other(source):
    destination = source.with_name("converted.safetensors")
    destination.write_bytes(b"an old file")
    convert_checkpoint(source, destination)
    assert load_file(destination).keys() == tiny_weights().keys()
    assert set(contents(source.parent)) == {"source.safetensors", "converted.safetensors"}


def test_a_conversion_may_replace_its_source(source):
    convert_checkpoint(source, source)
    assert {tensor.dtype for tensor in load_file(source).values()} == {torch.float16}


def test_a_disk_too_full_is_told_before_anything_is_written(source, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 10**6, 10**6))
    before = contents(source.parent)
    with pytest.raises(OSError, match=r"has 1\.0 MB free, converted\.safetensors needs 19\.0 MB: make room or choose"):
        convert_checkpoint(source, source.with_name("converted.safetensors"))
    assert contents(source.parent) == before


@pytest.mark.parametrize("name", ["converted.pth", "converted", "converted.ckpt"])
def test_a_destination_of_another_suffix_is_refused(name, source):
    """A safetensors file under another suffix would be read as a pickle."""
    with pytest.raises(ValueError, match=rf"destination is {name}: give a name that ends in \.safetensors"):
        convert_checkpoint(source, source.with_name(name))


def test_a_wrong_source_is_refused_before_anything_is_written(tmp_path):
    save_file({"lora_unet.lora_down.weight": torch.zeros(1)}, tmp_path / "lora.safetensors")
    before = contents(tmp_path)
    with pytest.raises(CheckpointError, match="looks like a LoRA"):
        convert_checkpoint(tmp_path / "lora.safetensors", tmp_path / "converted.safetensors")
    assert contents(tmp_path) == before
