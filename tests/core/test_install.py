"""install.py must leave a host as it found it, but for what is absent."""

from __future__ import annotations

import importlib.util
import re
from importlib.metadata import version

import pytest

from tests.support import ROOT


@pytest.fixture
def installer():
    spec = importlib.util.spec_from_file_location("unianimate_install", ROOT / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nothing_is_installed_where_the_modules_are_there(installer, monkeypatch):
    """Whichever package brought them: a second one would overwrite it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert installer.wanted() == []


def test_only_what_is_absent_is_installed_and_numpy_and_torch_stay(installer, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else object())
    (package,) = installer.wanted()
    assert package.startswith("onnxruntime")
    assert f"numpy=={version('numpy')}" in installer.installed_versions()
    assert f"torch=={version('torch')}" in installer.installed_versions()


def test_requirements_name_nothing_that_a_host_may_have_chosen():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    assert not {"torch", "numpy", "opencv-python", "opencv-python-headless", "onnxruntime"} & set(names)
    assert not [name for name in names if any(sign in name for sign in "=<>~")]


def test_every_sentence_that_tells_what_to_install_works_in_every_shell_and_from_a_clone():
    """cmd takes single quotes for a part of the name, zsh brackets for a pattern; and the pack is on no registry."""
    files = [ROOT / "README.md", *(ROOT / "unianimate_core").rglob("*.py"), *(ROOT / "nodes").rglob("*.py")]
    told = [line for file in files for line in file.read_text().splitlines() if re.search(r"pip install .*\[", line)]
    assert len(told) > 5
    assert all(re.search(r'pip install -e "\.\[[a-z,]+\]"', line) for line in told), told
