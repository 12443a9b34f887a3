"""The stool that a person sits on, and the shadow on the ground."""

from __future__ import annotations

import numpy as np

from ...pose import keypoints as points
from ...pose.opencv import cv2
from .figure import LINE, Figure
from .shapes import edge, shade

WOOD = (124.0, 92.0, 66.0)
DARKEST = 0.38  # share of the light that the shadow takes away at its middle


def put_stool(canvas: np.ndarray, figure: Figure) -> None:
    """Draws a stool below the hips onto canvas, uint8 h w 3. Seated people stay in place, so all frames share it."""
    unit = figure.unit
    seat = figure.middle(points.LEFT_HIP, points.RIGHT_HIP).mean(0) + np.array([0, 0.05 * unit])
    ground = figure.body[:, [points.LEFT_ANKLE, points.RIGHT_ANKLE], 1].max()
    half = 0.014 * unit
    for side in (-0.085 * unit, 0.085 * unit):
        top, bottom = seat[0] + side, seat[0] + 1.2 * side
        corners = [[top - half, seat[1]], [top + half, seat[1]], [bottom + half, ground], [bottom - half, ground]]
        cv2.fillPoly(canvas, [np.round(corners).astype(np.int32)], shade(WOOD, 0.75), cv2.LINE_AA)
    for grow, color in ((LINE, edge(WOOD)), (0.0, WOOD)):
        axes = round((0.12 + grow) * unit), round((0.042 + grow) * unit)
        cv2.ellipse(canvas, np.round(seat).astype(int).tolist(), axes, 0, 0, 360, color, -1, cv2.LINE_AA)


def cast_shadow(canvas: np.ndarray, figure: Figure, frame: int) -> None:
    """Darkens the ground below the feet of this frame."""
    feet = np.concatenate([figure.body[frame, [points.LEFT_ANKLE, points.RIGHT_ANKLE]], figure.heels[frame]])
    x, y = feet.mean(0)[0], feet[:, 1].max() + 0.01 * figure.unit
    half_width, half_height = 0.08 * figure.unit + np.ptp(feet[:, 0]) / 2, 0.035 * figure.unit
    height, width = canvas.shape[:2]
    left, right = max(0, round(x - half_width)), min(width, round(x + half_width))
    top, bottom = max(0, round(y - half_height)), min(height, round(y + half_height))
    if left >= right or top >= bottom:
        return
    across = ((np.arange(left, right) + 0.5 - x) / half_width) ** 2
    along = ((np.arange(top, bottom) + 0.5 - y) / half_height) ** 2
    light = 1 - DARKEST * np.clip(1 - across[None] - along[:, None], 0, 1)
    canvas[top:bottom, left:right] = canvas[top:bottom, left:right] * light[..., None]
