"""The points of a character on the canvas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .appearance import Appearance
from .bones import Bones

LINE = 0.006
"""Width of the line around every shape, in units of the height."""


@dataclass(frozen=True)
class Camera:
    """A distant camera that looks slightly down (parallel projection).

    pitch: degrees; unit: an adult's height in pixels; origin: pixel (x, y) of the ground between the feet.
    """

    pitch: float
    unit: float
    origin: tuple[float, float]

    def project(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The image points (..., 2) and depths (...) of points in space (..., 3), both in pixels."""
        flat, depth = self.turn(positions)
        return flat * self.unit + np.array(self.origin), depth * self.unit

    def turn(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The parts of vectors on the image (..., 2) and toward the viewer (...)."""
        cosine, sine = np.cos(np.radians(self.pitch)), np.sin(np.radians(self.pitch))
        x, y, z = np.moveaxis(vectors, -1, 0)
        return np.stack([x, y * cosine + z * sine], axis=-1), z * cosine - y * sine


@dataclass(frozen=True)
class Figure:
    """A character projected onto the canvas, for f frames.

    body (f, 20, 2), hands (f, 2, 21, 2), heels (f, 2, 2), head (f, 2): pixels.
    body_depth (f, 20), head_depth (f,): pixels; a greater depth is nearer to the viewer.
    axes: for "hips", "chest" and "head" the directions left, down and ahead on the image (f, 3, 2), and how much each
    points toward the viewer (f, 3).
    unit: the person's height in pixels; ground: pixel (x, y) of the ground where the person stands.
    """

    appearance: Appearance
    body: np.ndarray
    body_depth: np.ndarray
    hands: np.ndarray
    heels: np.ndarray
    head: np.ndarray
    head_depth: np.ndarray
    axes: dict[str, tuple[np.ndarray, np.ndarray]]
    unit: float
    ground: tuple[float, float]

    def middle(self, *joints: int) -> np.ndarray:
        """The mean of these joints, (f, 2)."""
        return self.body[:, list(joints)].mean(1)

    def depth_of(self, *joints: int) -> np.ndarray:
        """The mean depth of these joints, (f,)."""
        return self.body_depth[:, list(joints)].mean(1)


def figure_from(camera: Camera, bones: Bones, appearance: Appearance) -> Figure:
    """Projects bones, in units of the person's height, onto the canvas."""
    camera = Camera(camera.pitch, camera.unit * appearance.height, camera.origin)
    body, body_depth = camera.project(bones.body)
    head, head_depth = camera.project(bones.head)
    axes = {}
    for name in ("hips", "chest", "head"):
        flat, toward = camera.turn(np.swapaxes(getattr(bones, f"{name}_axes"), 1, 2))
        axes[name] = flat, toward
    return Figure(
        appearance, body, body_depth, camera.project(bones.hands)[0], camera.project(bones.heels)[0], head, head_depth,
        axes, camera.unit, camera.origin,
    )  # fmt: skip
