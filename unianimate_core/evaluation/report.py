"""The report of an evaluation, as a text table and as JSON."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ..storage.atomic import replacing
from .bootstrap import Estimate
from .metrics import METRICS
from .run import Evaluation


def as_text(evaluation: Evaluation) -> str:
    """One line per metric: the mean over the videos, and its interval."""
    settings = evaluation.settings
    header = ("metric", "mean", f"{settings.level:.0%} interval")
    rows = [header, *(_row(name, estimate) for name, estimate in evaluation.estimates.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    size = "as they are" if settings.size is None else f"resized to {settings.size[0]}x{settings.size[1]}"
    videos = f"{len(evaluation.videos)} video{'s' if len(evaluation.videos) != 1 else ''}"
    title = f"{evaluation.results} against {evaluation.truth}: {videos}, {evaluation.frames} frames, {size}"
    return "\n".join([title, "", *lines])


def _row(name: str, estimate: Estimate) -> tuple[str, str, str]:
    metric = METRICS[name]
    value, low, high = (f"{number:.{metric.digits}f}" for number in (estimate.value, estimate.low, estimate.high))
    interval = "" if math.isnan(estimate.low) else f"{low} to {high}"
    if estimate.infinite:
        interval = f"{interval}  {estimate.infinite} of {estimate.videos} videos identical, left out".strip()
    return metric.heading, value, interval


def write_json(evaluation: Evaluation, destination: str | os.PathLike) -> None:
    """Writes all results, each video's included. Infinity becomes "inf", and the ends of a missing interval null."""
    settings = asdict(evaluation.settings) | {"weights": str(evaluation.settings.weights)}
    content = {
        "results": str(evaluation.results),
        "truth": str(evaluation.truth),
        "videos": len(evaluation.videos),
        "frames": evaluation.frames,
        "settings": settings,
        "metrics": {name: _plain(asdict(estimate)) for name, estimate in evaluation.estimates.items()},
        "by_video": {video.name: {"frames": video.frames, **_plain(video.means)} for video in evaluation.videos},
        "torch": torch.__version__,
    }
    with replacing(destination) as path:
        Path(path).write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")


def _plain(numbers: dict[str, Any]) -> dict[str, Any]:
    """Replaces infinity and nan, which JSON does not have."""

    def plain(value: Any) -> Any:
        if not isinstance(value, float) or math.isfinite(value):
            return value
        return None if math.isnan(value) else "inf"

    return {name: plain(value) for name, value in numbers.items()}
