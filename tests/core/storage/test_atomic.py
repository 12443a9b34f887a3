"""Files that are there whole or not at all, and what is said where the disk is full."""

from __future__ import annotations

import errno
import os

import pytest
from safetensors import SafetensorError

from unianimate_core.storage.atomic import NoRoom, replacing

FULL = [
    OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
    SafetensorError('Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "No space left" })'),
]


@pytest.mark.parametrize("error", FULL, ids=["system", "quota", "safetensors", "safetensors before 0.6"])
def test_a_full_disk_is_one_sentence_and_leaves_what_was_there(error, tmp_path):
    """safetensors has an error of its own, which the command line would show as a traceback."""
    path = tmp_path / "weights.safetensors"
    path.write_text("before")
    sentence = r"weights\.safetensors could not be written, since its disk is full: make room and try again$"
    with pytest.raises(NoRoom, match=sentence), replacing(path) as part:
        part.write_text("half")
        raise error
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), SafetensorError("HeaderTooLarge"), ValueError("5")])
def test_other_errors_are_not_taken_for_a_full_disk(error, tmp_path):
    with pytest.raises(type(error)) as raised, replacing(tmp_path / "file"):
        raise error
    assert raised.value is error
