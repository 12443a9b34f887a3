"""What the pose nodes need beside ComfyUI, installed only where it is absent, and without moving numpy or PyTorch.

ComfyUI-Manager runs this on its own; otherwise: python install.py, with ComfyUI's Python. A plain requirement would be
wrong here: several packages share the module cv2, several share onnxruntime, and a second one breaks the first.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

# Kept at the installed version while something else is installed.
KEPT = ("numpy", "torch", "torchvision", "torchaudio")


def onnxruntime_package() -> str:
    """The build of onnxruntime for this machine's graphics card."""
    try:
        import torch
    except ImportError:
        return "onnxruntime"
    if torch.version.cuda and torch.cuda.is_available():
        return "onnxruntime-gpu"
    return "onnxruntime-directml" if sys.platform == "win32" else "onnxruntime"


def installed_versions() -> str:
    """Lines of a pip constraints file that keep what is there."""
    lines = []
    for package in KEPT:
        try:
            lines.append(f"{package}=={importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return "\n".join(lines) + "\n"


def wanted() -> list[str]:
    """The packages whose module is absent."""
    modules = {"cv2": "opencv-python-headless>=4.7", "onnxruntime": onnxruntime_package()}
    return [package for module, package in modules.items() if importlib.util.find_spec(module) is None]


def main() -> int:
    packages = wanted()
    if not packages:
        print("comfyui-unianimate: OpenCV and onnxruntime are there, nothing to install")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text(installed_versions())
        command = [sys.executable, "-m", "pip", "install", *packages, "--constraint", str(constraints)]
        return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(main())
