"""README lists the same weight files as the code."""

from __future__ import annotations

import pytest

from tests.support import ROOT
from unianimate_core.evaluation.weights import BACKBONES, I3D, default_folder

PAGE = (ROOT / "docs" / "evaluation.md").read_text()


@pytest.mark.parametrize("file", [*BACKBONES.values(), I3D], ids=lambda file: file.name)
def test_the_page_names_every_file_with_size_and_source(file):
    assert f"| `{file.name}` | {file.metric}" in PAGE
    assert f" {file.size / 1e6:.0f} MB | " in PAGE
    assert any(source in PAGE for source in file.source.split(" or "))


def test_the_default_folder_is_pytorchs_own(monkeypatch, tmp_path):
    """It may hold VGG16 already."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "hub" / "checkpoints"
