"""The strokes of one person: bones and joints of the body, then hands, then the face.

Colors are RGB as the network saw them in training, which is OpenPose's drawing with red and blue exchanged.
"""

from __future__ import annotations

import colorsys
import math
from typing import TYPE_CHECKING

import numpy as np

from ..opencv import cv2

if TYPE_CHECKING:
    from ..keypoints import Pose
    from .style import DrawingStyle

BONES = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13)),
    *((1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (13, 18), (10, 19)),
)
"""Both joints of each bone, in drawing order. Bone i has the color of joint i."""

RAINBOW = (
    *((0, 0, 255), (0, 85, 255), (0, 170, 255), (0, 255, 255), (0, 255, 170), (0, 255, 85), (0, 255, 0)),
    *((85, 255, 0), (170, 255, 0), (255, 255, 0), (255, 170, 0), (255, 85, 0), (255, 0, 0)),
    *((255, 0, 85), (255, 0, 170), (255, 0, 255), (170, 0, 255), (85, 0, 255), (255, 255, 170), (0, 255, 255)),
)
"""Colors of the 20 joints."""
DIMMED = tuple(tuple(int(value * 0.6) for value in color) for color in RAINBOW)
"""Colors of the bones: the authors multiply the canvas by 0.6 between bones and joints."""

FINGER_LINES = tuple(
    (0 if joint == 0 else 4 * finger + joint, 4 * finger + joint + 1) for finger in range(5) for joint in range(4)
)
"""Both points of each line: from the wrist along each finger, thumb first."""
FINGER_COLORS = tuple(tuple(255 * value for value in colorsys.hsv_to_rgb(i / 20, 1, 1)[::-1]) for i in range(20))
HAND_POINT = (255, 0, 0)
FACE_POINT = (255, 255, 255)

HEAD_JOINTS = frozenset({0, 14, 15, 16, 17})
FEET_JOINTS = frozenset({18, 19})
FARTHEST = 1e6  # pixels: OpenCV takes 32-bit integers, and nothing this far out reaches the image


def draw_figure(canvas: np.ndarray, pose: Pose, style: DrawingStyle) -> None:
    """Draws one person over what is on the canvas, in place. canvas: uint8 (height, width, 3)."""
    size = canvas.shape[1::-1]
    hidden = (frozenset() if style.head else HEAD_JOINTS) | (frozenset() if style.feet else FEET_JOINTS)
    visible = [bool(seen) and joint not in hidden for joint, seen in enumerate(pose.body_seen)]
    _draw_body(canvas, _pixels(pose.body, size), visible, style)
    if style.hands:
        for points in pose.hands:
            _draw_hand(canvas, _pixels(points, size), style)
    if style.face:
        _draw_face(canvas, _pixels(pose.face, size), style)


def _draw_body(canvas: np.ndarray, points: np.ndarray, visible: list[bool], style: DrawingStyle) -> None:
    for (a, b), color in zip(BONES, DIMMED, strict=False):
        if visible[a] and visible[b]:
            _fill_bone(canvas, points[a], points[b], style.stick_width, color)
    for (x, y), color, shown in zip(points.tolist(), RAINBOW, visible, strict=True):
        if shown:
            cv2.circle(canvas, (int(x), int(y)), style.point_radius, color, -1)


def _fill_bone(canvas: np.ndarray, a: np.ndarray, b: np.ndarray, half_width: int, color: tuple[int, ...]) -> None:
    """Fills an ellipse from a to b: as long as the bone, and 2 * half_width across."""
    x, y = (a + b) / 2
    dx, dy = a - b
    half_length = int(math.hypot(dx, dy) / 2)
    angle = int(math.degrees(math.atan2(dy, dx)))
    outline = cv2.ellipse2Poly((int(x), int(y)), (half_length, half_width), angle, 0, 360, 1)
    cv2.fillConvexPoly(canvas, np.asarray(outline), color)


def _draw_hand(canvas: np.ndarray, points: np.ndarray, style: DrawingStyle) -> None:
    corners = points.astype(int).tolist()
    inside = [x > 0 and y > 0 for x, y in corners]  # this also skips unseen points, which lie at -1
    for (a, b), color in zip(FINGER_LINES, FINGER_COLORS, strict=True):
        if inside[a] and inside[b]:
            cv2.line(canvas, corners[a], corners[b], color, style.hand_width)
    for corner, shown in zip(corners, inside, strict=True):
        if shown:
            cv2.circle(canvas, corner, style.point_radius, HAND_POINT, -1)


def _draw_face(canvas: np.ndarray, points: np.ndarray, style: DrawingStyle) -> None:
    for x, y in points.astype(int).tolist():
        if x > 0 and y > 0:
            cv2.circle(canvas, (x, y), style.face_radius, FACE_POINT, -1)


def _pixels(points: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """points (n, 2) in fractions of a canvas of size (width, height)."""
    return np.clip(points * size, -FARTHEST, FARTHEST)
