"""install.py changes nothing else of its host, and each extra of pyproject.toml brings what its modules import."""

from __future__ import annotations

import importlib.util
import re
import sys
from importlib.metadata import version

import pytest

from tests.support import ROOT
from tests.support.imports import imports, python_files

# The package that brings a module, if their names differ.
PACKAGES = {"cv2": "opencv-python-headless", "open_clip": "open_clip_torch", "PIL": "pillow"}
PACKAGES |= {"torch.utils.tensorboard": "tensorboard"}
# This repository, and kernels for GPUs, which the user installs or torch brings.
OTHERS = {"benchmarks", "tests", "unianimate_core", "mamba_ssm", "selective_scan_cuda", "triton"}


@pytest.fixture
def installer():
    spec = importlib.util.spec_from_file_location("unianimate_install", ROOT / "install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_nothing_is_installed_if_the_modules_are_installed(installer, monkeypatch):
    """A second package that brings the same module would overwrite the first."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert installer.missing_packages() == []


def test_only_missing_packages_are_installed_and_numpy_and_torch_stay(installer, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else object())
    (package,) = installer.missing_packages()
    assert package.startswith("onnxruntime")
    assert f"numpy=={version('numpy')}" in installer.installed_versions()
    assert f"torch=={version('torch')}" in installer.installed_versions()


def test_requirements_name_nothing_that_the_host_chooses():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    assert not {"torch", "numpy", "opencv-python", "opencv-python-headless", "onnxruntime"} & set(names)
    assert not [name for name in names if any(sign in name for sign in "=<>~")]


@pytest.fixture
def project() -> dict:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 cannot read TOML")
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_extras_bring_what_is_imported_and_nothing_else(project):
    extras = {extra: names for extra, names in project["optional-dependencies"].items() if extra != "dev"}
    requirements = [*project["dependencies"], *(name for names in extras.values() for name in names)]
    named = {re.split(r"[^\w-]", requirement)[0] for requirement in requirements} - {project["name"]}

    modules = {name for path in python_files("unianimate_core", "benchmarks") for name in imports(path)}
    imported = {PACKAGES.get(name) or PACKAGES.get(top := name.split(".")[0], top) for name in modules}
    assert named == imported - OTHERS - set(sys.stdlib_module_names)


def test_every_pip_command_works_in_every_shell_and_in_a_clone(project):
    """cmd makes single quotes part of the name, zsh expands brackets, and no registry has this pack."""
    files = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *python_files("unianimate_core", "nodes", "benchmarks")]
    lines = [line for file in files for line in file.read_text().splitlines()]
    commands = [line for line in lines if re.search(r"pip install .*\[", line)]
    assert all(re.search(r'pip install -e "\.\[([a-z,]+|\{extra\})\]"', line) for line in commands), commands

    named = re.findall(r'(?:-e "\.\[|\bextra=")([a-z,]+)', "\n".join(lines))
    assert len(named) > 5
    assert {extra for names in named for extra in names.split(",")} <= project["optional-dependencies"].keys()
