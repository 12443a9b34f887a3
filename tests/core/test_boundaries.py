"""Imports point one way: nodes -> unianimate_core -> torch, and within the core from each package to earlier ones."""

from __future__ import annotations

import graphlib
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.imports import absolute_imports, import_graph, imports, loaded_after, module_of, python_files

CORE = "unianimate_core"
# The files and folders of the core. Each imports only itself and those before it.
ORDER = (
    "optional",
    "precision",
    "config",
    "storage",
    "scan",
    "model",
    "checkpoint",
    "diffusion",
    "sampling",
    "vae",
    "encoders",
    "media",
    "pose",
    "driving_poses",
    "guidance",
    "drawn_world",
    "mini",
    "animator",
    "long_video",
    "model_files",
    "pipeline",
    "animation_job",
    "evaluation",
    "demo",
    "training",
    "commands",
    "__main__",
)
# The same for unianimate_core/training.
TRAINING = (
    "settings",
    "states",
    "presets",
    "job",
    "data",
    "network",
    "conditions",
    "distillation",
    "loss",
    "optimizers",
    "loop",
    "vae",
    "start",
)
HOST = {"comfy", "comfy_api", "comfy_execution", "comfy_extras", "execution", "folder_paths", "latent_preview", "nodes"}
# Packages of the extras, and kernels for GPUs. The network runs without them.
OPTIONAL = {"cv2", "onnxruntime", "open_clip", "av", "mamba_ssm", "triton", "torchvision", "lpips", "scipy"}
OPTIONAL |= {"accelerate", "diffusers", "peft", "tensorboard"}


def assert_none_imports(files: Iterable[Path], forbidden: Callable[[str], bool]) -> None:
    found = [f"{module_of(path)} imports {name}" for path in files for name in imports(path) if forbidden(name)]
    assert not found, "\n".join(found)


def top(name: str) -> str:
    return name.split(".")[0]


def test_the_core_imports_nothing_of_the_host():
    """The demo, trainings and tests run where there is no ComfyUI."""
    assert_none_imports(python_files(CORE), lambda name: top(name) in HOST)


def test_the_core_is_imported_relatively():
    """In ComfyUI the pack has another name and its folder is not on the import path."""
    offenders = [module_of(path) for path in python_files(CORE, "nodes") if CORE in map(top, absolute_imports(path))]
    assert not offenders


def test_the_core_has_no_circle_of_imports():
    """Imports inside functions count: they only hide a circle."""
    graphlib.TopologicalSorter(import_graph(CORE)).prepare()


@pytest.mark.parametrize(("package", "order"), [(CORE, ORDER), (f"{CORE}.training", TRAINING)])
def test_packages_import_only_earlier_ones(package, order):
    """The lists above are an order in which to read: nothing appears before it is explained."""

    def part(module: str) -> str:
        """The file or folder of the package that a module lies in. Empty for its __init__.py and for all else."""
        inside = module.removeprefix(f"{package}.")
        return "" if inside == module else top(inside)

    graph = import_graph(CORE)
    assert {part(module) for module in graph} - {""} == set(order)
    places = {name: place for place, name in enumerate(order)} | {"": -1}
    arrows = [(module, target) for module, targets in graph.items() if part(module) for target in targets]
    upwards = [f"{module} imports {target}" for module, target in arrows if places[part(target)] > places[part(module)]]
    assert not upwards, "\n".join(upwards)


def test_nothing_imports_the_package_of_the_core_itself():
    """unianimate_core/__init__.py only forwards to its modules; whatever imports it would run in a circle."""
    assert [module for module, targets in import_graph(CORE).items() if CORE in targets and module != CORE] == []


def test_importing_the_core_loads_nothing_heavy():
    """ComfyUI imports every pack when it starts; torch comes with the first name that is used."""
    assert not loaded_after(f"import {CORE}") & (OPTIONAL | HOST | {"torch", "numpy", "safetensors", "einops", "tqdm"})


def test_the_network_needs_torch_alone():
    """It loads without OpenCV, PyAV or onnxruntime, even if one of them is broken."""
    assert not loaded_after(f"import {CORE}.checkpoint, {CORE}.diffusion") & (OPTIONAL | HOST)


def test_the_nodes_load_no_extra_when_the_host_starts():
    """ComfyUI's users install no extras: one import of accelerate behind a node would take all nodes away."""
    modules = {module_of(path) for path in python_files(CORE)}
    names = {name for path in python_files("nodes") for name in imports(path) if name.startswith(CORE)}
    used = {name if name in modules else name.rpartition(".")[0] for name in names}
    assert f"{CORE}.drawn_world.characters" in used, "UniAnimate Drawn Person draws with it"
    assert not loaded_after(f"import {', '.join(sorted(used))}") & (OPTIONAL | HOST)


def test_tests_share_only_what_is_in_support():
    """Two test folders meet in tests/support alone, so that each can be read, moved and run by itself."""

    found = []
    for path in python_files("tests"):
        shared = ("tests.support", f"{module_of(path.parent)}.")
        for name in imports(path):
            alien = top(name) == "tests" and not name.startswith(shared)
            if alien or ".test_" in name or ".conftest" in name:
                found.append(f"{module_of(path)} imports {name}")
    assert not found, "\n".join(found)


def test_only_the_tests_of_benchmarks_import_benchmarks():
    """The others run where a benchmark's packages are missing."""
    files = [path for path in python_files("tests") if path.parent != ROOT / "tests" / "benchmarks"]
    assert_none_imports(files, lambda name: top(name) == "benchmarks")


def test_benchmarks_share_with_tests_only_what_is_in_support():
    assert_none_imports(
        python_files("benchmarks"), lambda name: top(name) == "tests" and not name.startswith("tests.support")
    )
