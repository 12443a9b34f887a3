"""A character's points on the canvas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .appearance import Appearance
from .bones import Bones

LINE = 0.006
"""Width of the line around everything, in units of the height."""


@dataclass(frozen=True)
class Camera:
    """Looks slightly down, from far away. pitch: degrees; unit: pixels of an adult's height; origin: pixel (x, y) of
    the ground between the feet.
    """

    pitch: float
    unit: float
    origin: tuple[float, float]

    def project(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(..., 3) in space to pixels (..., 2) and depth (...), both in pixels."""
        flat, depth = self.turn(positions)
        return flat * self.unit + np.array(self.origin), depth * self.unit

    def turn(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Vectors as the viewer sees them: on the image (..., 2), and towards the viewer (...)."""
        cosine, sine = np.cos(np.radians(self.pitch)), np.sin(np.radians(self.pitch))
        x, y, z = np.moveaxis(vectors, -1, 0)
        return np.stack([x, y * cosine + z * sine], axis=-1), z * cosine - y * sine


@dataclass(frozen=True)
class Figure:
    """body (f, 20, 2), hands (f, 2, 21, 2), heels (f, 2, 2), head (f, 2): pixels; body_depth (f, 20) and head_depth
    (f,): nearer is greater. Axes (f, 3, 2) and how much each points at the viewer (f, 3): the person's left, down and
    ahead. unit: pixels of the person's height.
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

    def middle(self, *joints: int) -> np.ndarray:
        """(f, 2)."""
        return self.body[:, list(joints)].mean(1)

    def depth_of(self, *joints: int) -> np.ndarray:
        """(f,), the mean."""
        return self.body_depth[:, list(joints)].mean(1)


def seen_by(camera: Camera, bones: Bones, appearance: Appearance) -> Figure:
    """bones: in units of the person's height."""
    camera = Camera(camera.pitch, camera.unit * appearance.height, camera.origin)
    body, body_depth = camera.project(bones.body)
    head, head_depth = camera.project(bones.head)
    axes = {}
    for name in ("hips", "chest", "head"):
        flat, towards = camera.turn(np.swapaxes(getattr(bones, f"{name}_axes"), 1, 2))
        axes[name] = flat, towards
    return Figure(
        appearance, body, body_depth, camera.project(bones.hands)[0], camera.project(bones.heels)[0], head, head_depth,
        axes, camera.unit,
    )  # fmt: skip
