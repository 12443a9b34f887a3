"""Host tests run in a real ComfyUI: that of COMFYUI_PATH, or the one this folder is installed in.

Where there is none, they are skipped and the summary says so in capitals.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Before torch is imported: threads that spin while they wait make tests ten times slower where cores are shared.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

# Before Triton is imported: without a GPU its kernels run in its interpreter.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")

PACK = Path(__file__).resolve().parent.parent
WITHOUT_HOST = "no ComfyUI was found"


# The same examples at every run, or HYPOTHESIS_PROFILE=thorough for 1,000 new ones of each property.
QUIET = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}
settings.register_profile("quick", max_examples=100, derandomize=True, **QUIET)
settings.register_profile("thorough", max_examples=1000, **QUIET)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(scope="module")
def one_thread():
    """For networks so small that they gain nothing from more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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
        pytest.fail(f"COMFYUI_PATH is {path}, which is no ComfyUI: give the folder that holds its main.py")
    return path
