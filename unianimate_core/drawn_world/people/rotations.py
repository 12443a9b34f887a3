"""Rotations of vectors in space, (f, ...) for f frames: x to the right of the image, y down, z toward the viewer.

The columns of the axes (f, 3, 3) of a part of the body are the person's left, down and ahead.
"""

from __future__ import annotations

import numpy as np


def lean_forward(degrees: np.ndarray) -> np.ndarray:
    """Rotations (f, 3, 3) that move the top ahead."""
    return _rotation(-degrees, 1, 2)


def turn_left(degrees: np.ndarray) -> np.ndarray:
    """Rotations (f, 3, 3) that move the front to the person's left."""
    return _rotation(degrees, 2, 0)


def tilt_left(degrees: np.ndarray) -> np.ndarray:
    """Rotations (f, 3, 3) that move the left side down."""
    return _rotation(degrees, 0, 1)


def _rotation(degrees: np.ndarray, first: int, second: int) -> np.ndarray:
    """Rotations (f, 3, 3) that move the first axis toward the second."""
    angle = np.radians(degrees)
    matrix = np.zeros((len(angle), 3, 3))
    matrix[:] = np.eye(3)
    matrix[:, first, first] = matrix[:, second, second] = np.cos(angle)
    matrix[:, second, first] = np.sin(angle)
    matrix[:, first, second] = -np.sin(angle)
    return matrix


def along(axes: np.ndarray, left, down, ahead) -> np.ndarray:
    """The vectors (f, 3) in space with these parts, numbers or (f,), along the axes of the body."""
    return turned(axes, np.stack(np.broadcast_arrays(left, down, ahead, axes[:, 0, 0])[:3], axis=-1))


def turned(axes: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """The vectors (f, 3) in space of vectors given along the axes of the body."""
    return np.einsum("fij,fj->fi", axes, vectors)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
