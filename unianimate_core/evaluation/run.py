"""Evaluates a folder of videos against the true videos: each metric for each video, and over all videos."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ..long_video.chain import new_frames, split_segments
from .bootstrap import DRAWS, LEVEL, Estimate, finite_mean, mean_estimate
from .continuity import color_distances, drift, frame_changes, seam_jump
from .folders import VideoPair, check_pair, pair_videos, read_clips, read_video
from .fvd import CLIP_FRAMES, InflatedInception, VideoFeatures, fvd_estimate
from .metrics import DEFAULT_METRICS, DRIFT, FRAME_METRICS, FVD, LPIPS, METRICS, SEAM, FrameMetric
from .perceptual import Backbone, PerceptualDistance
from .weights import default_folder

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class EvaluationSettings:
    """metrics: names of METRICS. size: (width, height) to resize both videos to; None keeps their size.

    segment_length: frames of a long video's segments, for seam and drift; neighboring segments share one frame.
    backbone: of LPIPS. weights: folder of downloaded weights. device: of the networks; "auto" is the GPU if there is
    one. seed, draws, level: of the bootstrap.
    """

    metrics: tuple[str, ...] = DEFAULT_METRICS
    size: tuple[int, int] | None = None
    segment_length: int | None = None
    backbone: Backbone = "vgg"
    weights: Path = field(default_factory=default_folder)
    device: str = "auto"
    seed: int = 0
    draws: int = DRAWS
    level: float = LEVEL

    def __post_init__(self):
        unknown = [name for name in self.metrics if name not in METRICS]
        if unknown or not self.metrics:
            given = f"{unknown[0]!r} is not a metric" if unknown else "metrics is empty"
            raise ValueError(f"{given}: choose from {', '.join(METRICS)}")
        if self.segment_length is None and {SEAM, DRIFT} & set(self.metrics):
            raise ValueError(f"{SEAM} and {DRIFT} need the length of the segments: give --segment-length")
        if self.segment_length is not None and not {SEAM, DRIFT} & set(self.metrics):
            raise ValueError(
                f"the segment length is {self.segment_length}, but {', '.join(self.metrics)} do not use it: "
                f"add {SEAM} and {DRIFT} to --metrics, or leave out --segment-length"
            )
        if self.seed < 0:
            raise ValueError(f"the seed is {self.seed}: give 0 or more")


@dataclass(frozen=True)
class VideoScores:
    """The scores of one video. frames: their number; means: over the frames, by metric."""

    name: str
    frames: int
    means: dict[str, float]


@dataclass(frozen=True)
class Evaluation:
    """All results. estimates: by metric, in the order of settings.metrics."""

    results: Path
    truth: Path
    settings: EvaluationSettings
    videos: list[VideoScores]
    estimates: dict[str, Estimate]

    @property
    def frames(self) -> int:
        return sum(video.frames for video in self.videos)


def evaluate(
    results: Path, truth: Path, settings: EvaluationSettings | None = None, *, progress: Progress | None = None
) -> Evaluation:
    """Measures the videos of one folder against the true videos of the same names in another.

    Videos are read 16 frames at a time, so memory does not grow with their length.
    progress: called with (done, total) after each video.
    Raises ValueError, FileNotFoundError or ImportError. Settings, weights and the beginnings of all videos are
    checked before the first video is measured.
    """
    settings = settings or EvaluationSettings()
    pairs = pair_videos(results, truth)
    for pair in pairs:
        check_pair(pair, settings.size)
    frame_metrics, video_features = _loaded(settings)
    videos, features = [], []
    for done, pair in enumerate(pairs, start=1):
        scores, clips = _measure(pair, settings, frame_metrics, video_features)
        videos.append(scores)
        features.append(clips)
        if progress is not None:
            progress(done, len(pairs))
    return Evaluation(results, truth, settings, videos, _estimates(settings, videos, features))


def _loaded(settings: EvaluationSettings) -> tuple[dict[str, FrameMetric], VideoFeatures | None]:
    """The metrics of single frames, by name, and the network of FVD if it is among the metrics."""
    device = _device(settings.device)
    frame_metrics: dict[str, FrameMetric] = {}
    for name in settings.metrics:
        if name == LPIPS:
            frame_metrics[name] = PerceptualDistance(settings.backbone, settings.weights, device)
        elif name in FRAME_METRICS:
            frame_metrics[name] = FRAME_METRICS[name]
    return frame_metrics, InflatedInception(settings.weights, device) if FVD in settings.metrics else None


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).split("\n")[0]
        raise ValueError(f"the device {name!r} cannot be used ({reason}): give cpu, or cuda with a GPU") from error


def _measure(
    pair: VideoPair,
    settings: EvaluationSettings,
    frame_metrics: dict[str, FrameMetric],
    video_features: VideoFeatures | None,
) -> tuple[VideoScores, tuple[list[np.ndarray], list[np.ndarray]]]:
    """The scores of one video, and the features of its full clips of 16 frames: result, then truth."""
    values: dict[str, list[float]] = defaultdict(list)
    features: tuple[list[np.ndarray], list[np.ndarray]] = [], []
    frames = 0
    for clips in read_clips(pair, settings.size, CLIP_FRAMES):
        frames += len(clips[0])
        for name, metric in frame_metrics.items():
            values[name] += metric(*clips).tolist()
        if video_features is not None and len(clips[0]) == CLIP_FRAMES:
            for clip, own in zip(clips, features, strict=True):
                own.append(video_features(clip))
    if video_features is not None and not features[0]:
        raise ValueError(f"{pair.name} has {frames} frames, FVD needs at least {CLIP_FRAMES}: leave out fvd")
    means = {name: finite_mean(own) for name, own in values.items()}
    if settings.segment_length is not None:
        means |= _continuity(pair, frames, settings.segment_length)
    return VideoScores(pair.name, frames, means), features


def _continuity(pair: VideoPair, frames: int, segment_length: int) -> dict[str, float]:
    """Seam and drift of the result at its stored size. The true video's first frame is the reference for drift."""
    segments = new_frames(split_segments(frames, segment_length))
    distances = color_distances(read_video(pair.result), reference=next(read_video(pair.truth)))
    return {
        SEAM: seam_jump(frame_changes(read_video(pair.result)), segments).jump,
        DRIFT: drift(distances, segments).a_segment,
    }


def _estimates(
    settings: EvaluationSettings,
    videos: list[VideoScores],
    features: list[tuple[list[np.ndarray], list[np.ndarray]]],
) -> dict[str, Estimate]:
    bootstrap = {"seed": settings.seed, "draws": settings.draws, "level": settings.level}
    estimates = {}
    for name in settings.metrics:
        if name == FVD:
            both = ([np.stack(own[side]) for own in features] for side in (0, 1))
            estimates[name] = fvd_estimate(*both, **bootstrap)
        else:
            estimates[name] = mean_estimate([video.means[name] for video in videos], **bootstrap)
    return estimates
