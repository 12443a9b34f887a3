"""Bilinear resizing with antialiasing: the authors scaled drawn poses from 512x768 to the clip's size with it."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from ..opencv import cv2


def resize_bilinear(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 (h, w, 3) -> uint8 (height, width, 3).

    Pixels are areas (half-pixel centers). An axis that shrinks is filtered by a triangle two new pixels wide; an axis
    that grows is interpolated linearly. The result is that of torch's `interpolate(mode="bilinear", antialias=True)`,
    rounded to 8 bits.
    """
    h, w, _ = image.shape
    if (h, w) == (height, width):
        return image
    resized = image.astype(np.float32)
    if height < h:
        resized = _shrink_rows(resized, height)
    if width < w:
        resized = cv2.transpose(_shrink_rows(cv2.transpose(resized), width))
    if resized.shape[:2] != (height, width):
        resized = cv2.resize(resized, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.convertScaleAbs(resized)


def _shrink_rows(image: np.ndarray, height: int) -> np.ndarray:
    rows, weights = _triangle(image.shape[0], height)
    shrunk = np.zeros((height, *image.shape[1:]), np.float32)
    for tap in range(rows.shape[1]):
        shrunk += weights[:, tap, None, None] * image[rows[:, tap]]
    return shrunk


@lru_cache(maxsize=16)
def _triangle(size: int, new_size: int) -> tuple[np.ndarray, np.ndarray]:
    """For each new row, the old rows that contribute and their weights: both (new_size, taps); weights sum to 1."""
    scale = size / new_size
    centers = (np.arange(new_size) + 0.5) * scale
    first = np.floor(centers - scale).astype(int)
    rows = first[:, None] + np.arange(int(np.ceil(2 * scale)) + 2)
    weights = np.maximum(0, 1 - np.abs(rows + 0.5 - centers[:, None]) / scale)
    weights[(rows < 0) | (rows >= size)] = 0
    weights /= weights.sum(1, keepdims=True)
    return rows.clip(0, size - 1), weights.astype(np.float32)
