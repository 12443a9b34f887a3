"""Image files, upright and in RGB."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from ..optional import LazyModule
from ..storage.atomic import replacing

cv2 = LazyModule("cv2", "reading images", package="opencv-python-headless", extra="pose")


def read_image(path: str | os.PathLike) -> np.ndarray:
    """An image file as uint8 h w 3, RGB, turned as its EXIF says; transparency is dropped.

    Raises FileNotFoundError, or ValueError if it is no image.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}: give the reference image")
    content = np.frombuffer(path.read_bytes(), np.uint8)  # OpenCV itself reads no Unicode paths on Windows
    image = cv2.imdecode(content, cv2.IMREAD_COLOR) if len(content) else None
    if image is None:
        raise ValueError(f"{path.name} is no image that can be read: give a PNG, JPEG or WebP file")
    return np.ascontiguousarray(image[..., ::-1])


def write_image(path: str | os.PathLike, image: np.ndarray) -> None:
    """uint8 h w 3, RGB, to a file of the format that its suffix names, whole or not at all."""
    encoded = cv2.imencode(Path(path).suffix, np.ascontiguousarray(image[..., ::-1]))[1]
    with replacing(path, len(encoded)) as part:
        part.write_bytes(encoded.tobytes())
