"""Dependencies point one way: nodes -> unianimate_core -> torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

CORE = Path(__file__).parents[2] / "unianimate_core"
MODULES = sorted(CORE.rglob("*.py"))
HOST = {"comfy", "comfy_api", "comfy_execution", "comfy_extras", "execution", "folder_paths", "latent_preview", "nodes"}
# Not needed for the network: they are installed for poses, encoders, video and evaluation, and imported where used.
OPTIONAL = {"cv2", "onnxruntime", "open_clip", "av", "mamba_ssm", "triton", "torchvision", "lpips", "scipy"}
OPTIONAL |= {"accelerate", "diffusers", "peft", "tensorboard"}


def imported(path: Path) -> Iterator[str]:
    """The absolute name of each module that a file imports anywhere, as far as its package's root."""
    package = path.relative_to(CORE.parent).parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            assert not node.level or above, f"{path.name} imports from above the package"
            yield ".".join([*above, *([node.module] if node.module else [])])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(CORE)))
def test_the_core_knows_nothing_of_the_host(path):
    """It runs in the demo, in training and in tests, where there is no ComfyUI."""
    assert not {name.split(".")[0] for name in imported(path)} & HOST


def test_the_network_needs_torch_alone():
    """A missing codec or a broken onnxruntime must not keep the network from loading, nor slow the host's start."""
    program = "import sys, unianimate_core.checkpoint, unianimate_core.diffusion; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=CORE.parent, capture_output=True, text=True, check=True
    )
    assert not set(result.stdout.split()) & (OPTIONAL | HOST)
