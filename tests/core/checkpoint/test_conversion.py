"""convert_checkpoint writes a whole file or none."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.core.checkpoint.stored import save_pickle, save_safetensors
from tests.support.recorded import HEAD_DIM, tiny_config, tiny_weights
from unianimate_core.checkpoint import CheckpointError, convert_checkpoint, load_unet
from unianimate_core.checkpoint.loading import HEAD_DIM_TENSOR


@pytest.fixture
def source(tmp_path) -> Path:
    return save_safetensors(tiny_weights(), tmp_path / "source.safetensors")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_the_converter_keeps_names_and_rounds_weights(source, dtype):
    """So the result loads wherever the original does, in the authors' code too."""
    destination = source.with_name("converted.safetensors")
    convert_checkpoint(source, destination, dtype)
    converted = load_file(destination)
    assert converted.keys() == tiny_weights().keys()
    assert all(torch.equal(converted[name], tensor.to(dtype)) for name, tensor in tiny_weights().items())


def test_the_converter_takes_pickles_and_writes_the_configuration(tmp_path):
    """The released file is a pickle. A network whose head size is not 64 must keep it.

    The rest of the configuration is for people and other programs, which need not read it off the shapes then.
    """
    prefixed = {**tiny_weights(), HEAD_DIM_TENSOR: torch.tensor(HEAD_DIM)}
    path = save_pickle({"state_dict": prefixed}, tmp_path / "unet.pth")
    convert_checkpoint(path, tmp_path / "unet.safetensors")
    with safe_open(tmp_path / "unet.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["unianimate"]) == json.loads(json.dumps(asdict(tiny_config())))
    assert load_unet(tmp_path / "unet.safetensors").config == tiny_config()


def test_the_converter_reports_its_progress(source):
    steps = []
    convert_checkpoint(source, source.with_name("converted.safetensors"), progress=lambda *step: steps.append(step))
    assert steps == [(done, len(tiny_weights())) for done in range(1, len(tiny_weights()) + 1)]


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
    """There is no half file that looks whole and no hidden file, and an old destination is unchanged."""
    destination = source.with_name("converted.safetensors")
    if old is not None:
        destination.write_bytes(old)
    before = contents(source.parent)
    if failure == "interrupted":
        with pytest.raises(Stopped):
            convert_checkpoint(source, destination, progress=stop_halfway)
    else:
        monkeypatch.setattr("unianimate_core.storage.safetensors_file.save_file", fail_after_some_bytes)
        with pytest.raises(OSError, match="No space left"):
            convert_checkpoint(source, destination)
    assert contents(source.parent) == before


def test_a_conversion_replaces_an_old_file_and_leaves_no_other_file(source):
    destination = source.with_name("converted.safetensors")
    destination.write_bytes(b"an old file")
    convert_checkpoint(source, destination)
    assert load_file(destination).keys() == tiny_weights().keys()
    assert set(contents(source.parent)) == {"source.safetensors", "converted.safetensors"}


def test_a_conversion_may_replace_its_source(source):
    convert_checkpoint(source, source)
    assert {tensor.dtype for tensor in load_file(source).values()} == {torch.float16}


def test_too_little_room_is_reported_before_anything_is_converted(source, monkeypatch):
    """Converting the released file takes minutes."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 10**6, 10**6))
    before = contents(source.parent)
    with pytest.raises(OSError, match=r"has 1\.0 MB free, converted\.safetensors needs 19\.0 MB: make room or choose"):
        convert_checkpoint(
            source, source.with_name("converted.safetensors"), progress=lambda *_: pytest.fail("converted")
        )
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
