"""Installs OpenCV and onnxruntime for the pose nodes, each only if it is missing, and keeps numpy and PyTorch.

ComfyUI-Manager runs this file. Without it, run python install.py with ComfyUI's Python. Lines in requirements.txt would
not do: several packages provide the module cv2, several provide onnxruntime, and a second one breaks the first.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

# Packages that stay at their installed version.
KEPT = ("numpy", "torch", "torchvision", "torchaudio")


def onnxruntime_package() -> str:
    """The package of onnxruntime that runs on this machine's GPU, or on its CPU if it has none."""
    try:
        import torch
    except ImportError:
        return "onnxruntime"
    if torch.version.cuda and torch.cuda.is_available():
        return "onnxruntime-gpu"
    return "onnxruntime-directml" if sys.platform == "win32" else "onnxruntime"


def installed_versions() -> str:
    """A constraints file for pip that keeps the packages in KEPT as they are."""
    lines = []
    for package in KEPT:
        try:
            lines.append(f"{package}=={importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return "\n".join(lines) + "\n"


def missing_packages() -> list[str]:
    """The packages whose modules are missing."""
    modules = {"cv2": "opencv-python-headless>=4.7", "onnxruntime": onnxruntime_package()}
    return [package for module, package in modules.items() if importlib.util.find_spec(module) is None]


def main() -> int:
    packages = missing_packages()
    if not packages:
        print("comfyui-unianimate: OpenCV and onnxruntime are installed already")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text(installed_versions())
        command = [sys.executable, "-m", "pip", "install", *packages, "--constraint", str(constraints)]
        return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main())
