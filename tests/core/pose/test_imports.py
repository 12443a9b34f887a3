"""Imports of the pose package: rooms that do not depend on each other, and packages that may be missing."""

import subprocess
import sys

from tests.support import ROOT
from tests.support.imports import import_graph, loaded_after

PACKAGE = "unianimate_core.pose"
SHARED = {"keypoints", "clip", "boxes", "opencv"}
ROOMS = {"detection", "formats", "cleaning", "alignment", "drawing"}
WHOLE = {"", "retarget"}  # the package itself, and the way through its rooms


def part(module: str) -> str:
    """The file or room of the package that a module lies in; empty for the package itself."""
    return module.removeprefix(PACKAGE).lstrip(".").partition(".")[0]


def test_each_room_imports_only_itself_and_the_files_they_share():
    """So that each can be read, tested and replaced by itself; only __init__ and retarget see them all."""
    graph = import_graph("unianimate_core/pose")
    assert {part(module) for module in graph} - WHOLE == SHARED | ROOMS
    for module, targets in graph.items():
        own = part(module)
        allowed = SHARED | ({own} if own in ROOMS else set())
        assert own in WHOLE or {part(target) for target in targets} <= allowed, f"{module} imports {targets}"


def test_the_package_loads_neither_torch_nor_opencv_nor_onnxruntime():
    """Nodes that align or draw must load where onnxruntime is missing, and must not slow the start of a host."""
    assert not loaded_after(f"import {PACKAGE}") & {"torch", "cv2", "onnxruntime"}


def test_a_missing_opencv_is_an_error_that_says_what_to_install():
    """The package itself loads without OpenCV."""
    program = f"""
import sys
sys.modules["cv2"] = None
from {PACKAGE} import Pose, draw_pose
draw_pose(Pose.empty(), 8, 8, face=True)
try:
    draw_pose(Pose([[0.5, 0.5]] * 20, [[[0.5, 0.5]] * 21] * 2, [[0.5, 0.5]] * 68), 8, 8)
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("image processing needs opencv-python-headless, which is not installed: run pip")
