"""OpenCV, imported when it is first used: the package loads without it, and then says what to install."""

from __future__ import annotations

from typing import Any

from ..optional import LazyModule

cv2: Any = LazyModule("cv2", "image processing", package="opencv-python-headless", extra="pose")
