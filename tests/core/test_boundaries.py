"""Dependencies point one way: nodes -> unianimate_core -> torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT

CORE = ROOT / "unianimate_core"
MODULES = sorted(CORE.rglob("*.py"))
HOST = {"comfy", "comfy_api", "comfy_execution", "comfy_extras", "execution", "folder_paths", "latent_preview", "nodes"}
# Not needed for the network: they are installed for poses, encoders, video and evaluation, and imported where used.
OPTIONAL = {"cv2", "onnxruntime", "open_clip", "av", "mamba_ssm", "triton", "torchvision", "lpips", "scipy"}
OPTIONAL |= {"accelerate", "diffusers", "peft", "tensorboard"}
# Files and rooms of unianimate_core/training, each of which may import only those before it.
TRAINING = (
    "settings",
    "states",
    "presets",
    "data",
    "network",
    "conditions",
    "distillation",
    "loss",
    "optimizers",
    "loop",
)
TRAINING += ("vae", "command")


def imported(path: Path) -> Iterator[str]:
    """The absolute name of all that a file imports anywhere: of modules, or of what it takes out of them."""
    package = path.relative_to(CORE.parent).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            assert not node.level or above, f"{path.name} imports from above the package"
            yield from (".".join([*above, *filter(None, [node.module]), alias.name]) for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(CORE)))
def test_the_core_knows_nothing_of_the_host(path):
    """It runs in the demo, in training and in tests, where there is no ComfyUI."""
    assert not {name.split(".")[0] for name in imported(path)} & HOST


def room(module: str) -> str | None:
    """The file or room of training that a module's absolute name lies in; None for what is no part of training."""
    package, training, *inside = [*module.split("."), "", ""][:3]
    return inside[0] if (package, training) == ("unianimate_core", "training") and inside[0] else None


def test_the_rooms_of_training_depend_one_way():
    """Who reads on from settings to command meets nothing before it was told; see training/__init__.py."""
    found = set()
    for path in MODULES:
        own = room(".".join(path.relative_to(CORE.parent).with_suffix("").parts))
        if own is None or own == "__init__":
            continue
        found.add(own)
        for other in filter(None, map(room, imported(path))):
            assert TRAINING.index(other) <= TRAINING.index(own), f"{path.relative_to(CORE)} imports {other}"
    assert found == set(TRAINING)


def test_the_nodes_need_nothing_of_the_extras_when_the_host_starts():
    """ComfyUI's users install no extras; one import of accelerate behind a node would take all nodes away."""
    modules = set()
    for path in sorted((CORE.parent / "nodes").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level >= 2 and (node.module or "").startswith(CORE.name):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
                modules |= {node.module, *(name for name in names if is_module(name))}
    assert f"{CORE.name}.drawn_world.characters" in modules, "UniAnimate Drawn Person draws by it"
    program = f"import sys, {', '.join(sorted(modules))}; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=CORE.parent, capture_output=True, text=True, check=True
    )
    assert not set(result.stdout.split()) & (OPTIONAL | HOST)


def is_module(name: str) -> bool:
    path = CORE.parent.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def test_the_network_needs_torch_alone():
    """A missing codec or a broken onnxruntime must not keep the network from loading, nor slow the host's start."""
    program = "import sys, unianimate_core.checkpoint, unianimate_core.diffusion; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=CORE.parent, capture_output=True, text=True, check=True
    )
    assert not set(result.stdout.split()) & (OPTIONAL | HOST)
