"""Threads and random examples of all tests, and where the host tests find ComfyUI.

Host tests run in a real ComfyUI: the one that COMFYUI_PATH names, or the one whose custom_nodes folder holds this pack.
Without either they are skipped, and the summary says so in capitals.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before torch is imported. The networks here are so small that more threads make them slower, and processes that tests
# start inherit this. With one thread a result does not depend on the number of cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

# Before Triton is imported: without a GPU its kernels run in its interpreter.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

PACK = Path(__file__).resolve().parent.parent
WITHOUT_HOST = "no ComfyUI was found"

# quick: the same 100 examples of each property at every run. thorough: 1,000 new ones. A failure prints the line that
# repeats its example. Properties that run networks have fewer, see tests/support/examples.py.
QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("quick", max_examples=100, derandomize=True, print_blob=True, **QUIET)
settings.register_profile("thorough", max_examples=1000, print_blob=True, **QUIET)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def find_comfyui() -> Path | None:
    """COMFYUI_PATH, or ComfyUI two folders up (ComfyUI/custom_nodes/<this pack>)."""
    if path := os.environ.get("COMFYUI_PATH"):
        return Path(path).resolve()
    installed_in = PACK.parent.parent
    return installed_in if (installed_in / "comfy" / "cli_args.py").is_file() else None


def pytest_collection_modifyitems(items):
    if find_comfyui() is None:
        for item in items:
            if item.get_closest_marker("host"):
                item.add_marker(pytest.mark.skip(reason=WITHOUT_HOST))


def pytest_terminal_summary(terminalreporter):
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if WITHOUT_HOST in str(report.longrepr)]
    if skipped:
        terminalreporter.section("HOST TESTS DID NOT RUN", sep="!", red=True, bold=True)
        terminalreporter.line(
            f"{len(skipped)} tests in a real ComfyUI were skipped, because {WITHOUT_HOST}. "
            "Run them with COMFYUI_PATH=/path/to/ComfyUI make test."
        )


@pytest.fixture(scope="session")
def comfyui_path() -> Path:
    """Root of the ComfyUI that host tests start."""
    path = find_comfyui()
    if path is None or not (path / "comfy" / "cli_args.py").is_file():
        pytest.fail(f"COMFYUI_PATH is {path}, which holds no ComfyUI: give the folder of its main.py")
    return path
