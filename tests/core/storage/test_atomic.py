"""Files are either whole or absent, and a full disk is reported in one sentence."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace

import pytest

from unianimate_core.storage.atomic import NoRoom, check_room, format_bytes, replacing

FULL = [OSError(number, os.strerror(number)) for number in (errno.ENOSPC, errno.EDQUOT)]


@pytest.mark.parametrize("error", FULL, ids=["system", "quota"])
def test_a_full_disk_is_one_sentence_and_keeps_the_old_file(error, tmp_path):
    path = tmp_path / "weights.bin"
    path.write_text("before")
    sentence = r"weights\.bin could not be written, since its disk is full: make room and try again$"
    with pytest.raises(NoRoom, match=sentence), replacing(path) as part:
        part.write_text("half")
        raise error
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), ValueError("5"), KeyboardInterrupt()])
def test_other_errors_are_raised_as_they_are_and_leave_no_file(error, tmp_path):
    with pytest.raises(type(error)) as raised, replacing(tmp_path / "file") as part:
        part.write_text("half")
        raise error
    assert raised.value is error
    assert not list(tmp_path.iterdir())


def test_the_file_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    """Otherwise a power cut after the renaming could leave an empty file in place of a good one."""
    events = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: events.append("flush") or fsync(handle))
    monkeypatch.setattr(os, "replace", lambda *paths: events.append("rename") or replace(*paths))
    with replacing(tmp_path / "folder" / "file") as part:
        part.write_text("whole")
    assert events[:2] == ["flush", "rename"]
    assert (tmp_path / "folder" / "file").read_text() == "whole"


def test_too_little_room_is_reported_before_anything_is_written(tmp_path, monkeypatch):
    """The folder may be missing: then the disk of the nearest folder above it counts."""
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=10**6) if path.is_dir() else None)
    path = tmp_path / "new" / "deeper" / "file.bin"
    sentence = r"deeper has 1\.0 MB free, file\.bin needs 2\.5 GB: make room or choose another folder"
    with pytest.raises(NoRoom, match=sentence):
        check_room(path, 2_500_000_000)
    assert not list(tmp_path.iterdir())
    check_room(path, 10**6)


def test_bytes_are_shown_in_units_for_people():
    assert [format_bytes(count) for count in (0, 3_400_000, 5_670_000_000)] == ["0.0 MB", "3.4 MB", "5.7 GB"]
