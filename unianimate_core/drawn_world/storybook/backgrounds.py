"""Plain and graded backgrounds for the storybook cast: soft pale colors, with the ground as one calm surface."""

from __future__ import annotations

import numpy as np

from ...pose.opencv import cv2

WALLS = (
    *((200, 230, 244), (246, 226, 200), (214, 236, 208), (244, 214, 220), (224, 216, 244), (248, 240, 206)),
    *((204, 230, 228), (238, 228, 216), (184, 212, 236), (244, 216, 190)),
)
GROUNDS = ((168, 204, 142), (214, 188, 150), (178, 192, 206), (202, 176, 192), (226, 206, 160), (156, 196, 182))


def random_background(random: np.random.Generator, kind: str, height: int, width: int, ground: float) -> np.ndarray:
    """A background, uint8 h w 3, with a ground in front of most of them.

    kind: plain or gradient; ground: where characters stand, as a share of the height.
    """
    first, second = (0.97 * np.array(WALLS[index], float) for index in random.choice(len(WALLS), 2, replace=False))
    floor = np.array(GROUNDS[random.integers(len(GROUNDS))], float) + random.uniform(-8, 8)
    y, x = np.linspace(0, 1, height)[:, None, None], np.linspace(0, 1, width)[None, :, None]
    if kind == "plain":
        image = np.broadcast_to(first, (height, width, 3)).copy()
    elif random.random() < 0.35:
        distance = np.hypot(x - random.uniform(0.3, 0.7), (y - random.uniform(0.25, 0.5)) * height / width)
        image = first + (0.82 * first - first) * np.clip(distance / 1.1, 0, 1) ** 1.5
    else:
        angle = random.uniform(-0.7, 0.7)
        image = first + (second * 0.92 - first) * np.clip(y * np.cos(angle) + x * np.sin(angle), 0, 1)
    horizon = height * (ground - random.uniform(0.05, 0.1))
    hill = random.uniform(0.0, 0.05) * height * (1 - (2 * x[..., 0] - 1 + random.uniform(-0.6, 0.6)) ** 2)
    if kind == "plain" or random.random() < 0.6:
        below = np.clip(y[..., 0] * height - horizon + hill, 0, 1)[..., None]
        depth = 0.94 + 0.1 * np.clip((y * height - horizon) / (height - horizon), 0, 1)
        image = image + below * (floor * depth - image)
    return np.clip(cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.2), 0, 255).astype(np.uint8)


def darken_ground(canvas: np.ndarray, feet: np.ndarray, ground: tuple[float, float], unit: float) -> None:
    """Darkens the ground below the feet, pixels (k, 2). ground: pixel (x, y) of the ground; unit: height in pixels."""
    lifted = np.clip((ground[1] - feet[:, 1].max()) / unit, 0, 0.2)
    x, y = feet[:, 0].mean(), ground[1] + 0.004 * unit
    half_width, half_height = (0.14 * unit + np.ptp(feet[:, 0]) / 2) * (1 - 2 * lifted), 0.042 * unit
    height, width = canvas.shape[:2]
    left, right = max(0, round(x - half_width)), min(width, round(x + half_width))
    top, bottom = max(0, round(y - half_height)), min(height, round(y + half_height))
    if left >= right or top >= bottom:
        return
    across = ((np.arange(left, right) + 0.5 - x) / half_width) ** 2
    along = ((np.arange(top, bottom) + 0.5 - y) / half_height) ** 2
    light = 1 - 0.3 * np.clip(1.4 * (1 - across[None] - along[:, None]), 0, 1)
    canvas[top:bottom, left:right] = canvas[top:bottom, left:right] * light[..., None]
