"""Files that are damaged, or not what their name says, are refused in one sentence, and none runs code."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from safetensors.torch import save_file

from tests.core.checkpoint.stored import FORMS, save_pickle
from tests.support.examples import examples
from tests.support.recorded import tiny_config, tiny_weights
from unianimate_core.checkpoint import CheckpointError, convert_checkpoint, files, load_unet
from unianimate_core.checkpoint.loading import metadata_of


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
@examples(60, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
