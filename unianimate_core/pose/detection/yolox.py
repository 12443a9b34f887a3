"""The person detector YOLOX: letterboxing, decoding, and suppression of duplicate boxes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from ..opencv import cv2

INPUT_SIZE = 640  # pixels, both sides
STRIDES = (8, 16, 32)
GRAY = 114  # around the image
PERSON = 0  # index among the 80 classes
PERSON_ABOVE = 0.3
OVERLAP = 0.45


@dataclass(frozen=True)
class Detections:
    """boxes (n, 4): x1, y1, x2, y2 in pixels of the image, not clipped to it, best score first; scores (n,).

    best_score: the best score of a person in the image, even if it is too low to count.
    """

    boxes: np.ndarray
    scores: np.ndarray
    best_score: float


def letterboxed(frame: np.ndarray) -> np.ndarray:
    """uint8 BGR (h, w, 3) -> float32 (3, 640, 640), 0..255: the image at the top left, on gray."""
    scale = letterbox_scale(frame.shape)
    height, width = (max(1, int(side * scale)) for side in frame.shape[:2])
    canvas = np.full((INPUT_SIZE, INPUT_SIZE, 3), GRAY, np.uint8)
    canvas[:height, :width] = cv2.resize(frame, (width, height), interpolation=cv2.INTER_LINEAR)
    return canvas.transpose(2, 0, 1).astype(np.float32)


def letterbox_scale(shape: tuple[int, ...]) -> float:
    """Letterboxed pixels per pixel of an image of shape (h, w, ...)."""
    return min(INPUT_SIZE / shape[0], INPUT_SIZE / shape[1])


def decode_people(output: np.ndarray, scale: float) -> Detections:
    """The people in one raw YOLOX output (8400, 85): x, y, log w, log h in cells, objectness, 80 classes.

    scale: `letterbox_scale` of the image. Only boxes above the final threshold are decoded: a weaker box never
    suppresses a stronger one, so the authors' lower threshold before suppression changes nothing.
    Source: YOLOX (Ge et al. 2021); DWPose's demo for the thresholds, and for boxes one pixel wider and higher.
    """
    scores = output[:, 4] * output[:, 5 + PERSON]
    best_score = float(scores.max())
    counted = np.flatnonzero(scores > PERSON_ABOVE)
    cells, strides = _grid()
    centers = ((output[counted, :2] + cells[counted]) * strides[counted]).astype(np.float32)
    sizes = (np.exp(output[counted, 2:4]) * strides[counted]).astype(np.float32)
    boxes = np.concatenate([centers - sizes / 2, centers + sizes / 2], 1) / np.float32(scale)
    finite = np.isfinite(boxes).all(1)
    boxes, scores = boxes[finite], scores[counted][finite]
    kept = suppress_duplicates(boxes, scores)
    return Detections(boxes[kept], scores[kept], best_score)


def suppress_duplicates(boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Indices of the boxes (n, 4) that overlap no better box by more than `OVERLAP`, best first."""
    x1, y1, x2, y2 = boxes.T
    areas = (x2 - x1 + 1) * (y2 - y1 + 1)
    remaining = np.argsort(-scores, kind="stable")
    kept = []
    while len(remaining):
        best, rest = remaining[0], remaining[1:]
        kept.append(best)
        width = np.minimum(x2[best], x2[rest]) - np.maximum(x1[best], x1[rest]) + 1
        height = np.minimum(y2[best], y2[rest]) - np.maximum(y1[best], y1[rest]) + 1
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        remaining = rest[shared / (areas[best] + areas[rest] - shared) <= OVERLAP]
    return np.array(kept, int)


@cache
def _grid() -> tuple[np.ndarray, np.ndarray]:
    """Cells (8400, 2) x, y and strides (8400, 1) of the rows of the output."""
    cells, strides = [], []
    for stride in STRIDES:
        side = INPUT_SIZE // stride
        y, x = np.divmod(np.arange(side * side), side)
        cells.append(np.stack([x, y], 1))
        strides.append(np.full((side * side, 1), stride))
    return np.concatenate(cells), np.concatenate(strides)
