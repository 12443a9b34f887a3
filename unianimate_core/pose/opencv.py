"""OpenCV, imported when it is first used: a host without it can load the package, and is told what to install."""

from __future__ import annotations

import importlib
from typing import Any

from .keypoints import PoseError


class _OpenCV:
    def __getattr__(self, name: str) -> Any:
        try:
            return getattr(importlib.import_module("cv2"), name)
        except ImportError as error:
            raise PoseError(
                f"poses need OpenCV, which does not load ({error}): run install.py of this pack, "
                "or pip install opencv-python-headless"
            ) from error


cv2: Any = _OpenCV()
