"""Curves stay readable, whenever a run is cut off."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.training import RUN, train_in
from unianimate_core.storage.atomic import NoRoom
from unianimate_core.training.loop.curves import Curves, read_curves


def test_steps_that_are_trained_again_have_one_point(tmp_path):
    lines = tmp_path / "run" / "curves" / "curves.jsonl"
    train_in(tmp_path / "run", run=replace(RUN, steps=20, save_every=15))
    text = lines.read_text()
    assert [json.loads(line)["step"] for line in text.splitlines()] == [10, 20]
    lines.write_text(text + text)  # as after a stop between two states
    (tmp_path / "run" / "states" / "step_00000020" / "state.json").unlink()
    train_in(tmp_path / "run", run=replace(RUN, steps=20, save_every=15))
    assert [json.loads(line)["step"] for line in lines.read_text().splitlines()] == [10, 10, 20]


def test_a_line_that_was_cut_off_is_skipped(tmp_path):
    """A kill may come while a line is written. The run and every reader of the curves continue without it."""
    whole = '{"step": 10, "loss/all": 0.5}\n'
    (tmp_path / "curves.jsonl").write_text(whole + '{"step": 20, "los')
    assert read_curves(tmp_path / "curves.jsonl") == [{"step": 10, "loss/all": 0.5}]
    with Curves(tmp_path, 20, enabled=True) as curves:
        curves.add_validation(30, {"PSNR": 20.0})
    assert (tmp_path / "curves.jsonl").read_text() == whole + '{"step": 30, "validation/PSNR": 20.0}\n'


def test_a_full_disk_is_reported_and_keeps_the_curves(tmp_path, monkeypatch):
    lines = tmp_path / "curves.jsonl"
    lines.write_text('{"step": 10, "loss/all": 0.5}\n')

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    sentence = r"curves\.jsonl could not be written, since its disk is full"
    with Curves(tmp_path, 10, enabled=True) as curves, monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(NoRoom, match=sentence):
            curves.add_validation(20, {"PSNR": 20.0})
    with monkeypatch.context() as patch, pytest.raises(NoRoom, match=sentence):
        patch.setattr(Path, "write_text", full)
        Curves(tmp_path, 10, enabled=True)
    assert lines.read_text() == '{"step": 10, "loss/all": 0.5}\n'
