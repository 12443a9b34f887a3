"""Drawn poses as the network saw them in training: one pose, a frame of several people, or a clip."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..keypoints import PoseError
from .figure import draw_figure
from .resize import resize_bilinear
from .style import DrawingStyle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..keypoints import Pose

TRAINED_HEIGHT, TRAINED_WIDTH = 768, 512
"""The canvas on which the authors drew, whatever the size of the clip."""
LARGEST_SIDE = 16384  # pixels


def draw_pose(pose: Pose, height: int, width: int, **style: Any) -> np.ndarray:
    """One pose on black, at the given size: uint8 (height, width, 3), RGB as the network sees it.

    style: fields of `DrawingStyle`, such as hands=False. Raises PoseError if the size or a stroke is out of range.
    """
    return draw_people([pose], height, width, **style)


def draw_people(people: Sequence[Pose], height: int, width: int, **style: Any) -> np.ndarray:
    """Several people of one frame on one canvas, otherwise as `draw_pose`. Later people cover earlier ones."""
    _check_size(height, width)
    return _drawing(people, int(height), int(width), DrawingStyle(**style))


def iter_drawn(poses: Sequence[Pose], height: int, width: int, **options: Any) -> Iterator[np.ndarray]:
    """The poses of one person's clip, drawn in order. Options as `iter_drawn_people`."""
    return iter_drawn_people([[pose] for pose in poses], height, width, **options)


def iter_drawn_people(
    people: Sequence[Sequence[Pose]],
    height: int,
    width: int,
    *,
    canvas: Literal["trained", "own"] = "trained",
    threads: int | None = None,
    **style: Any,
) -> Iterator[np.ndarray]:
    """The people of each frame of a clip, drawn in threads and yielded in order: uint8 (height, width, 3).

    canvas "trained": drawn at 512x768 and scaled to height x width, bilinearly and with antialiasing if smaller. The
    authors drew so, and the network was trained on it. "own": drawn at height x width, with strokes scaled by the
    geometric mean of both ratios, which is sharper in large clips.
    style: fields of `DrawingStyle`; widths and radii are pixels at 512x768 for both canvases.

    Raises PoseError, before the first frame, for an option that is out of range.
    """
    _check_size(height, width)
    size, drawing_style = (int(height), int(width)), DrawingStyle(**style)
    if canvas == "trained":
        draw = partial(_drawing_as_trained, height=size[0], width=size[1], style=drawing_style)
    elif canvas == "own":
        scaled = drawing_style.scaled(math.sqrt(height * width / (TRAINED_HEIGHT * TRAINED_WIDTH)))
        draw = partial(_drawing, height=size[0], width=size[1], style=scaled)
    else:
        raise PoseError(f"canvas is {canvas!r}: choose 'trained' or 'own'")
    return _in_threads(draw, people, threads or min(8, os.cpu_count() or 1))


def draw_poses(poses: Sequence[Pose], height: int, width: int, **options: Any) -> np.ndarray:
    """One person's clip: uint8 (frames, height, width, 3). Options as `iter_drawn_people`."""
    drawn = iter_drawn(poses, height, width, **options)
    images = np.empty((len(poses), height, width, 3), np.uint8)
    for image, drawing in zip(images, drawn, strict=True):
        image[:] = drawing
    return images


def _drawing(people: Sequence[Pose], height: int, width: int, style: DrawingStyle) -> np.ndarray:
    canvas = np.zeros((height, width, 3), np.uint8)
    for pose in people:
        draw_figure(canvas, pose, style)
    return canvas


def _drawing_as_trained(people: Sequence[Pose], height: int, width: int, style: DrawingStyle) -> np.ndarray:
    return resize_bilinear(_drawing(people, TRAINED_HEIGHT, TRAINED_WIDTH, style), height, width)


def _in_threads(
    draw: Callable[[Sequence[Pose]], np.ndarray], people: Sequence[Sequence[Pose]], threads: int
) -> Iterator[np.ndarray]:
    ahead = 4 * threads  # a bounded queue keeps memory flat in clips of any length
    with ThreadPoolExecutor(threads) as pool:
        queue = [pool.submit(draw, frame) for frame in people[:ahead]]
        for index in range(len(people)):
            drawing = queue[index % ahead].result()
            if index + ahead < len(people):
                queue[index % ahead] = pool.submit(draw, people[index + ahead])
            yield drawing


def _check_size(height: int, width: int) -> None:
    if not (1 <= height <= LARGEST_SIDE and 1 <= width <= LARGEST_SIDE):
        raise PoseError(f"the drawing is {width}x{height}: width and height must be 1 to {LARGEST_SIDE} pixels")
