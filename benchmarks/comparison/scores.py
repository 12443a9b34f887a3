"""What the rows of the paper's tables are made of: videos kept from run to run, their scores, and tables of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unianimate_core.evaluation.bootstrap import Estimate, finite_mean, mean_estimate
from unianimate_core.evaluation.continuity import color_distances, drift, frame_changes, seam_jump
from unianimate_core.evaluation.fvd import CLIP_FRAMES, InflatedInception, fvd_estimate
from unianimate_core.evaluation.metrics import FRAME_METRICS, FVD, LPIPS, METRICS
from unianimate_core.evaluation.perceptual import PerceptualDistance
from unianimate_core.evaluation.weights import BACKBONES, I3D
from unianimate_core.media.images import as_images
from unianimate_core.storage.atomic import replacing
from unianimate_core.storage.content_hash import content_hash

from ..report import table

PAPER_METRICS = ("l1", "psnr_star", "ssim")
BOOTSTRAP = {"seed": 0, "draws": 2000, "level": 0.95}


@dataclass(frozen=True)
class Kept:
    """Videos of earlier runs, each under a hash of all that it was made of: the same command goes on where it ended."""

    folder: Path

    def path(self, made_of: Sequence[object]) -> Path:
        return self.folder / f"{content_hash(*made_of)}.npz"

    def video(self, path: Path, make: Callable[[], np.ndarray]) -> np.ndarray:
        """uint8 f h w 3: the one kept there, or that which make returns."""
        if path.is_file():
            return np.load(path)["frames"]
        frames = make()
        with replacing(path) as unfinished, unfinished.open("wb") as file:
            np.savez_compressed(file, frames=frames)
        return frames


@dataclass(frozen=True)
class Row:
    """One row of a table: for each metric a number a clip; for FVD the features of each clip instead."""

    name: str
    scores: dict[str, np.ndarray]
    features: list[np.ndarray] | None = None

    def estimate(self, metric: str, truth_features: list[np.ndarray] | None = None) -> Estimate:
        if metric != FVD:
            return mean_estimate(self.scores[metric], **BOOTSTRAP)
        assert self.features is not None
        assert truth_features is not None
        return fvd_estimate(self.features, truth_features, **BOOTSTRAP)


class Scorer:
    """Scores rows of videos by the true ones; LPIPS and FVD where their networks are in the folder.

    missing: the files that are not there, and so which columns are not.
    """

    def __init__(self, truths: Sequence[np.ndarray], weights: Path, device: torch.device | str, skip: int = 0):
        """skip: frames at the beginning that do not count, because they were given."""
        self.truths = [as_images(video[skip:]) for video in truths]
        self.skip = skip
        self.missing = [file.name for file in (BACKBONES["vgg"], I3D) if not (weights / file.name).is_file()]
        self.frame_metrics = {name: FRAME_METRICS[name] for name in PAPER_METRICS}
        if BACKBONES["vgg"].name not in self.missing:
            self.frame_metrics[LPIPS] = PerceptualDistance("vgg", weights, device)
        long_enough = all(len(video) >= CLIP_FRAMES for video in self.truths)
        has_network = I3D.name not in self.missing
        self.network = InflatedInception(weights, device) if has_network and long_enough else None
        self.truth_features = self._features(self.truths)

    @property
    def metrics(self) -> list[str]:
        return [*self.frame_metrics, *([FVD] if self.network else [])]

    def row(self, name: str, videos: Sequence[np.ndarray]) -> Row:
        results = [as_images(video[self.skip :]) for video in videos]
        scores = {
            metric: np.array([finite_mean(measure(a, b).numpy()) for a, b in zip(results, self.truths, strict=True)])
            for metric, measure in self.frame_metrics.items()
        }
        return Row(name, scores, self._features(results))

    def table(self, rows: Sequence[Row], baseline: Row) -> str:
        """Means over clips with intervals, and by how much PSNR* exceeds the baseline's on the same clips."""
        header = ["", *(METRICS[name].heading for name in self.metrics), f"PSNR* above {baseline.name}"]
        lines = [
            [
                row.name,
                *(row.estimate(name, self.truth_features).shown(METRICS[name].digits) for name in self.metrics),
                "" if row is baseline else above(row, baseline).shown(2),
            ]
            for row in rows
        ]
        return table(header, lines)

    def _features(self, videos: Sequence[Tensor]) -> list[np.ndarray] | None:
        if self.network is None:
            return None
        return [np.stack([self.network(clip) for clip in _whole_clips(video)]) for video in videos]


def above(row: Row, baseline: Row) -> Estimate:
    """By how many dB a row's PSNR* exceeds another's on the same clips, and the interval of that."""
    return mean_estimate(row.scores["psnr_star"] - baseline.scores["psnr_star"], **BOOTSTRAP)


def continuity_row(
    name: str,
    videos: Sequence[np.ndarray],
    references: Sequence[np.ndarray],
    meeting: Sequence[range],
    segments: Sequence[range],
) -> Row:
    """Seams and drift of long videos.

    meeting: the parts between which a jump may be seen; segments: equal stretches of time over which drift is told,
    the same for all rows.
    """
    jumps = [seam_jump(frame_changes(video), meeting) for video in videos]
    both = zip(videos, references, strict=True)
    drifts = [drift(color_distances(video, reference), segments) for video, reference in both]
    scores = {
        "mean jump": [jump.jump for jump in jumps],
        "worst jump": [jump.worst for jump in jumps],
        "drift, first segment": [each.start for each in drifts],
        "drift, last segment": [each.end for each in drifts],
        "growth a segment": [each.a_segment for each in drifts],
    }
    return Row(name, {metric: np.array(values) for metric, values in scores.items()})


def continuity_table(rows: Sequence[Row]) -> str:
    metrics = list(rows[0].scores)
    lines = [[row.name, *(row.estimate(metric).shown(2) for metric in metrics)] for row in rows]
    return table(["", *metrics], lines)


def _whole_clips(video: Tensor) -> list[Tensor]:
    return [clip for clip in video.split(CLIP_FRAMES) if len(clip) == CLIP_FRAMES]
