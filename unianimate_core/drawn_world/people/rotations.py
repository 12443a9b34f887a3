"""Turning vectors in space: x to the right of the image, y down, z towards the viewer; (f, ...) over frames.

Axes (f, 3, 3) of a part of the body hold in their columns the person's left, down and ahead.
"""

from __future__ import annotations

import numpy as np


def lean_forwards(degrees: np.ndarray) -> np.ndarray:
    """Rotations (f, 3, 3): what is above goes ahead."""
    return _rotation(-degrees, 1, 2)


def turn_left(degrees: np.ndarray) -> np.ndarray:
    """Rotations (f, 3, 3): what is ahead goes to the person's left."""
    return _rotation(degrees, 2, 0)


def tilt_left(degrees: np.ndarray) -> np.ndarray:
    """Rotations (f, 3, 3): the left side goes down."""
    return _rotation(degrees, 0, 1)


def _rotation(degrees: np.ndarray, first: int, second: int) -> np.ndarray:
    """Takes the first axis towards the second."""
    angle = np.radians(degrees)
    matrix = np.zeros((len(angle), 3, 3))
    matrix[:] = np.eye(3)
    matrix[:, first, first] = matrix[:, second, second] = np.cos(angle)
    matrix[:, second, first] = np.sin(angle)
    matrix[:, first, second] = -np.sin(angle)
    return matrix


def along(axes: np.ndarray, left, down, ahead) -> np.ndarray:
    """The vector (f, 3) with these parts, numbers or (f,), in a body's own axes."""
    return turned(axes, np.stack(np.broadcast_arrays(left, down, ahead, axes[:, 0, 0])[:3], axis=-1))


def turned(axes: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Vectors (f, 3) from a body's own axes into space."""
    return np.einsum("fij,fj->fi", axes, vectors)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
