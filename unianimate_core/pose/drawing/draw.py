"""Drawing poses as the network saw them in training: OpenPose's image with red and blue exchanged."""

from __future__ import annotations

import colorsys
import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from ..keypoints import PoseError
from ..opencv import cv2
from .resize import resize_bilinear

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..keypoints import Pose

TRAINED_HEIGHT, TRAINED_WIDTH = 768, 512
"""The canvas on which the authors drew, whatever the size of the clip."""

BONES = (
    *((1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13)),
    *((1, 0), (0, 14), (14, 16), (0, 15), (15, 17), (13, 18), (10, 19)),
)
"""Joints at both ends, in drawing order: bone i has the color of joint i."""

RAINBOW = (
    *((0, 0, 255), (0, 85, 255), (0, 170, 255), (0, 255, 255), (0, 255, 170), (0, 255, 85), (0, 255, 0)),
    *((85, 255, 0), (170, 255, 0), (255, 255, 0), (255, 170, 0), (255, 85, 0), (255, 0, 0)),
    *((255, 0, 85), (255, 0, 170), (255, 0, 255), (170, 0, 255), (85, 0, 255), (255, 255, 170), (0, 255, 255)),
)
DIMMED = tuple(tuple(int(value * 0.6) for value in color) for color in RAINBOW)

FINGER_LINES = tuple(
    (0 if joint == 0 else 4 * finger + joint, 4 * finger + joint + 1) for finger in range(5) for joint in range(4)
)
FINGER_COLORS = tuple(tuple(255 * value for value in colorsys.hsv_to_rgb(i / 20, 1, 1)[::-1]) for i in range(20))
HAND_POINT = (255, 0, 0)
FACE_POINT = (255, 255, 255)

HEAD_JOINTS = frozenset({0, 14, 15, 16, 17})
FEET_JOINTS = frozenset({18, 19})
LARGEST_STROKE = 1024  # pixels, of widths and radii
FARTHEST = 1e6  # pixels: OpenCV takes 32-bit integers, and nothing so far out reaches the image


def draw_pose(
    pose: Pose,
    height: int,
    width: int,
    *,
    hands: bool = True,
    feet: bool = True,
    face: bool = False,
    head: bool = True,
    stick_width: int = 4,
    hand_width: int = 2,
    point_radius: int = 4,
    face_radius: int = 3,
) -> np.ndarray:
    """One pose on black at the size given: uint8 (height, width, 3), RGB as the network sees it.

    hands, feet (toes), face (68 white points), head (nose, eyes, ears): whether they are drawn; the network was
    trained with all but the face. stick_width: half the thickness of a body bone, hand_width: thickness of a finger
    line, point_radius, face_radius: all in whole pixels, 1 to 1,024; the defaults are the authors', meant for 512x768.
    """
    canvas = np.zeros((*_checked_size(height, width), 3), np.uint8)
    _check_strokes(stick_width=stick_width, hand_width=hand_width, point_radius=point_radius, face_radius=face_radius)
    hidden = (frozenset() if head else HEAD_JOINTS) | (frozenset() if feet else FEET_JOINTS)
    drawn = [bool(seen) and joint not in hidden for joint, seen in enumerate(pose.body_seen)]
    _draw_body(canvas, _pixels(pose.body, height, width), drawn, stick_width, point_radius)
    if hands:
        for points in pose.hands:
            _draw_hand(canvas, _pixels(points, height, width), hand_width, point_radius)
    if face:
        for x, y in _pixels(pose.face, height, width).astype(int).tolist():
            if x > 0 and y > 0:
                cv2.circle(canvas, (x, y), face_radius, FACE_POINT, -1)
    return canvas


def iter_drawn(
    poses: Sequence[Pose],
    height: int,
    width: int,
    *,
    canvas: Literal["trained", "own"] = "trained",
    stick_width: int = 4,
    hand_width: int = 2,
    point_radius: int = 4,
    face_radius: int = 3,
    threads: int | None = None,
    **parts: bool,
) -> Iterator[np.ndarray]:
    """The poses of a clip, drawn in threads and yielded in order, each as `draw_pose` returns it.

    canvas "trained": drawn at 512x768 as the authors did and scaled to height x width, bilinearly and with
    antialiasing where smaller: what the network was trained on. "own": drawn at height x width with strokes scaled
    by the geometric mean of both ratios: sharper on large clips. Widths and radii are pixels at 512x768 in both
    cases; `parts` are the switches hands, feet, face and head of `draw_pose`.
    """
    _checked_size(height, width)
    if canvas not in ("trained", "own"):
        raise PoseError(f"canvas is {canvas!r}: choose 'trained' or 'own'")
    strokes = {
        "stick_width": stick_width,
        "hand_width": hand_width,
        "point_radius": point_radius,
        "face_radius": face_radius,
    }
    _check_strokes(**strokes)
    if canvas == "own":
        scale = math.sqrt(height * width / (TRAINED_HEIGHT * TRAINED_WIDTH))
        strokes = {name: min(max(1, round(stroke * scale)), LARGEST_STROKE) for name, stroke in strokes.items()}
        draw = partial(draw_pose, height=height, width=width, **strokes, **parts)
    else:
        draw = partial(_drawn_as_trained, height=height, width=width, **strokes, **parts)
    return _in_threads(draw, poses, threads or min(8, os.cpu_count() or 1))


def draw_poses(poses: Sequence[Pose], height: int, width: int, **options) -> np.ndarray:
    """A clip of poses: uint8 (frames, height, width, 3). Options as `iter_drawn`."""
    drawn = iter_drawn(poses, height, width, **options)
    images = np.empty((len(poses), height, width, 3), np.uint8)
    for image, drawing in zip(images, drawn, strict=True):
        image[:] = drawing
    return images


def _drawn_as_trained(pose: Pose, height: int, width: int, **options) -> np.ndarray:
    return resize_bilinear(draw_pose(pose, TRAINED_HEIGHT, TRAINED_WIDTH, **options), height, width)


def _in_threads(draw, poses: Sequence[Pose], threads: int) -> Iterator[np.ndarray]:
    ahead = 4 * threads  # a bounded queue keeps memory flat however long the clip
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(draw, pose) for pose in poses[:ahead]]
        for index in range(len(poses)):
            drawing = waiting[index % ahead].result()
            if index + ahead < len(poses):
                waiting[index % ahead] = pool.submit(draw, poses[index + ahead])
            yield drawing


def _draw_body(canvas: np.ndarray, points: np.ndarray, drawn: list[bool], stick_width: int, radius: int) -> None:
    for (a, b), color in zip(BONES, DIMMED, strict=False):
        if drawn[a] and drawn[b]:
            _fill_bone(canvas, points[a], points[b], stick_width, color)
    for (x, y), color, visible in zip(points.tolist(), RAINBOW, drawn, strict=True):
        if visible:
            cv2.circle(canvas, (int(x), int(y)), radius, color, -1)


def _fill_bone(canvas: np.ndarray, a: np.ndarray, b: np.ndarray, half_width: int, color: tuple[int, ...]) -> None:
    """An ellipse from a to b. Along the bone it is as long as the bone, across it 2 * half_width."""
    x, y = (a + b) / 2
    dx, dy = a - b
    half_length = int(math.hypot(dx, dy) / 2)
    angle = int(math.degrees(math.atan2(dy, dx)))
    outline = cv2.ellipse2Poly((int(x), int(y)), (half_length, half_width), angle, 0, 360, 1)
    cv2.fillConvexPoly(canvas, np.asarray(outline), color)


def _draw_hand(canvas: np.ndarray, points: np.ndarray, line_width: int, radius: int) -> None:
    corners = points.astype(int).tolist()
    inside = [x > 0 and y > 0 for x, y in corners]  # also leaves out what is not seen, which lies at -1
    for (a, b), color in zip(FINGER_LINES, FINGER_COLORS, strict=True):
        if inside[a] and inside[b]:
            cv2.line(canvas, corners[a], corners[b], color, line_width)
    for corner, visible in zip(corners, inside, strict=True):
        if visible:
            cv2.circle(canvas, corner, radius, HAND_POINT, -1)


def _pixels(points: np.ndarray, height: int, width: int) -> np.ndarray:
    return np.clip(points * (width, height), -FARTHEST, FARTHEST)


def _checked_size(height: int, width: int) -> tuple[int, int]:
    if not (1 <= height <= 16384 and 1 <= width <= 16384):
        raise PoseError(f"the drawing is {width}x{height}: width and height must be 1 to 16384 pixels")
    return int(height), int(width)


def _check_strokes(**strokes: int) -> None:
    for name, stroke in strokes.items():
        whole = isinstance(stroke, (int, np.integer)) and not isinstance(stroke, bool)
        if not whole or not 1 <= stroke <= LARGEST_STROKE:
            raise PoseError(f"{name} is {stroke!r}: give a whole number of pixels, 1 to {LARGEST_STROKE}")
