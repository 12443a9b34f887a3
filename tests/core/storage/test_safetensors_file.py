"""The one writer of safetensors stores every kind of tensor, and reports a full disk in one sentence."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from tests.support.examples import examples
from unianimate_core.storage import safetensors_file
from unianimate_core.storage.atomic import NoRoom
from unianimate_core.storage.safetensors_file import write_safetensors

GRID = torch.arange(24.0).reshape(4, 6)
SLICES: dict[str, Callable[[Tensor], Tensor]] = {
    "whole": lambda x: x,
    "rows": lambda x: x[1:3],
    "last rows": lambda x: x[2:],
    "one row": lambda x: x[1],
    "columns": lambda x: x[:, 2:4],
    "transposed": lambda x: x.T,
    "repeated": lambda x: x[:1].expand(3, -1),
    "one number": lambda x: x[0, 0],
    "nothing": lambda x: x[:0],
    "half precision": lambda x: x.half(),
    "needs gradients": lambda x: x.detach().requires_grad_(),
}


@examples(30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(st.sampled_from(sorted(SLICES)), min_size=1, max_size=6))
def test_each_tensor_is_stored_with_its_own_values(names, tmp_path):
    """The writer copies what overlaps in memory: safetensors itself refuses to store it."""
    tensors = {f"{index} {name}": SLICES[name](GRID) for index, name in enumerate(names)}
    write_safetensors(tmp_path / "file.safetensors", tensors)
    stored = load_file(tmp_path / "file.safetensors")
    assert stored.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert stored[name].dtype == tensor.dtype
        assert torch.equal(stored[name], tensor)


def test_separate_tensors_are_written_without_a_copy(tmp_path, monkeypatch):
    """Checkpoints are gigabytes: parts of one matrix that do not overlap are written from where they are."""
    written = {}
    monkeypatch.setattr(safetensors_file, "save_file", lambda tensors, path, **_: written.update(tensors))
    tensors = {"q": GRID[:2], "k": GRID[2:], "other": torch.zeros(3)}
    write_safetensors(tmp_path / "file.safetensors", tensors)
    assert {name: x.data_ptr() for name, x in written.items()} == {name: x.data_ptr() for name, x in tensors.items()}


def test_metadata_is_stored_with_the_format_that_other_programs_expect(tmp_path):
    write_safetensors(tmp_path / "file.safetensors", {"x": GRID}, {"key": "value"})
    with safe_open(tmp_path / "file.safetensors", framework="pt") as file:
        assert file.metadata() == {"format": "pt", "key": "value"}


def fail_with(message: str) -> Callable:
    def save_file(tensors, path, **_):
        path.write_bytes(b"half")
        raise SafetensorError(message)

    return save_file


FULL = {
    "safetensors": "Error while serializing: I/O error: No space left on device (os error 28)",
    "safetensors before 0.6": 'Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "..." })',
}


@pytest.mark.parametrize("message", FULL.values(), ids=FULL)
def test_a_full_disk_is_one_sentence_and_keeps_the_old_file(message, tmp_path, monkeypatch):
    """safetensors has an error of its own, which the command line would show as a traceback."""
    path = tmp_path / "weights.safetensors"
    path.write_text("before")
    monkeypatch.setattr(safetensors_file, "save_file", fail_with(message))
    sentence = r"weights\.safetensors could not be written, since its disk is full: make room and try again$"
    with pytest.raises(NoRoom, match=sentence):
        write_safetensors(path, {"x": GRID})
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]


def test_other_errors_of_the_system_keep_their_number(tmp_path, monkeypatch):
    monkeypatch.setattr(safetensors_file, "save_file", fail_with("I/O error: File too large (os error 27)"))
    with pytest.raises(OSError, match=os.strerror(errno.EFBIG)) as raised:
        write_safetensors(tmp_path / "weights.safetensors", {"x": GRID})
    assert raised.value.errno == errno.EFBIG
    assert not list(tmp_path.iterdir())


def test_a_tensor_that_cannot_be_stored_is_not_a_full_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(safetensors_file, "save_file", fail_with("HeaderTooLarge"))
    with pytest.raises(SafetensorError, match="HeaderTooLarge"):
        write_safetensors(tmp_path / "weights.safetensors", {"x": GRID})
    assert not list(tmp_path.iterdir())


def test_too_little_room_is_reported_before_writing(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 95}))
    with pytest.raises(NoRoom, match=r"needs 0\.0 MB: make room or choose another folder"):
        write_safetensors(tmp_path / "weights.safetensors", {"x": GRID})
    assert not list(tmp_path.iterdir())
