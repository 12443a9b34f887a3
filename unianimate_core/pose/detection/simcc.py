"""The keypoint network: the crop around a person, SimCC decoding, and the order of the points."""

from __future__ import annotations

import numpy as np

from ..keypoints import SEEN_ABOVE
from ..opencv import cv2

INPUT_HEIGHT, INPUT_WIDTH = 384, 288
PADDING = 1.25
MEAN = np.array([123.675, 116.28, 103.53], np.float32)
DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)
SPLIT = 2  # bins per pixel of the input

NECK = 17  # index at which the neck is inserted
ORDER = (0, 17, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""The first 18 of 134 points in OpenPose's order: indices into COCO's 17 and the neck."""


def crop_region(box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Center (2,) and size (2,), in pixels, of the padded region around a box (x1, y1, x2, y2), in the ratio 3:4."""
    x1, y1, x2, y2 = box.astype(np.float32)
    center = np.array([x1 + x2, y1 + y2], np.float32) / 2
    width, height = PADDING * (x2 - x1), PADDING * (y2 - y1)
    aspect = np.float32(INPUT_WIDTH / INPUT_HEIGHT)
    if width > height * aspect:
        height = width / aspect
    else:
        width = height * aspect
    return center, np.array([width, height], np.float32)


def crop(frame: np.ndarray, center: np.ndarray, size: np.ndarray) -> np.ndarray:
    """uint8 BGR frame (h, w, 3) -> float32 (3, 384, 288): the region, warped bilinearly, black outside, normalized.

    As in the authors' code, the mean and deviation are those of RGB, applied to BGR.
    """
    matrix = cv2.getAffineTransform(
        _corner(center, size[0]), _corner(np.array([INPUT_WIDTH, INPUT_HEIGHT], np.float32) / 2, INPUT_WIDTH)
    )
    warped = cv2.warpAffine(frame, matrix, (INPUT_WIDTH, INPUT_HEIGHT), flags=cv2.INTER_LINEAR)
    return ((warped - MEAN) / DEVIATION).transpose(2, 0, 1)


def _corner(center: np.ndarray, width: float) -> np.ndarray:
    """Three points (3, 2): the center, one half a width above it, and one half a width to the left of that."""
    above = center - np.array([0, np.float32(width) / 2], np.float32)
    left = above - (center - above)[::-1]  # the rounded half width, as in the authors' code
    return np.array([center, above, left], np.float32)


def decode_simcc(
    simcc_x: np.ndarray, simcc_y: np.ndarray, centers: np.ndarray, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 133, 2) in pixels of the frame and scores (n, 133).

    simcc_x (n, 133, 576), simcc_y (n, 133, 768): the network's output. centers, sizes: (n, 2), see `crop_region`.
    Source: SimCC (Li et al. 2022) as RTMPose uses it.
    """
    best = np.stack([simcc_x.argmax(-1), simcc_y.argmax(-1)], -1).astype(np.float64)
    scores = np.minimum(simcc_x.max(-1), simcc_y.max(-1))
    best[scores <= 0] = -1
    points = best / SPLIT / (INPUT_WIDTH, INPUT_HEIGHT) * sizes[:, None] + centers[:, None] - sizes[:, None] / 2
    return points, scores


def in_openpose_order(points: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """COCO-WholeBody points (n, 133, 2) and scores (n, 133) -> (n, 134, 2), (n, 134) with a neck, in OpenPose's order.

    The neck is the mean of the shoulders; its score is 1 if both are seen, else 0.
    """
    necks = points[:, 5:7].mean(1, keepdims=True)
    neck_scores = (scores[:, 5:7] > SEEN_ABOVE).all(1, keepdims=True).astype(scores.dtype)
    points = np.concatenate([points[:, :NECK], necks, points[:, NECK:]], 1)
    scores = np.concatenate([scores[:, :NECK], neck_scores, scores[:, NECK:]], 1)
    points[:, :18], scores[:, :18] = points[:, ORDER], scores[:, ORDER]
    return points, scores
