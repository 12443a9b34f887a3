"""The videos behind the rows of the paper's tables: which network makes them, from which conditions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from unianimate_core.drawn_world.characters import DrawnClip
from unianimate_core.long_video.chain import new_frames, split_segments
from unianimate_core.long_video.windows import window_ranges
from unianimate_core.sampling import SamplingSettings
from unianimate_core.training.data.workers import data_loader
from unianimate_core.vae.autoencoder import Autoencoder

from .animation import ClipAnimator, Given, Precision
from .scores import Kept, Row, Scorer, continuity_row
from .separate_reference import load_network

UNIFIED, MAMBA = "UniAnimate", "temporal Mamba"
WITHOUT_POSE, SEPARATE = "UniAnimate w/o reference pose", "UniAnimate w/o unified VDM"
COPY, WRONG, RECONSTRUCTED = "the reference, copied", "another clip's poses", "the truth through the VAE"
CHAIN, WINDOWS = "first-frame chain", "overlapping windows"
OVERLAP_SHARE = 4  # windows overlap by a quarter, as the authors' 8 of 32
Make = Callable[[ClipAnimator, DrawnClip, int], np.ndarray]
Work = tuple[Path, Callable[[], np.ndarray]]  # where a video is kept, and what makes it
AS_THE_PAPER = Given()


@dataclass(frozen=True)
class Network:
    """A checkpoint that is compared. digest: of its file."""

    animator: ClipAnimator
    digest: str
    parameters: int


def load_compared(
    path: Path, codec: Autoencoder, settings: SamplingSettings, precision: Precision, device: torch.device | str
) -> Network:
    unet = load_network(path, device)
    parameters = sum(parameter.numel() for parameter in unet.parameters())
    return Network(ClipAnimator(unet, codec, settings, precision, device), digest_of(path), parameters)


def digest_of(path: Path | None) -> str:
    """SHA-256 of a file; nothing for none."""
    return "" if path is None else hashlib.sha256(path.read_bytes()).hexdigest()


@dataclass(frozen=True)
class Bench:
    """Makes videos, or finds them kept. made_of: what all depend on beside network, clip and noise.

    processes: forked to make videos, each computing with one thread; with 0 they are made here, with all threads.
    Small networks gain little from a second thread, and all of a second process.
    """

    kept: Kept
    made_of: tuple[object, ...]
    seed: int
    processes: int = 0

    def videos(self, name: str, network: Network, clips: Sequence[DrawnClip], make: Make, *made_of: object):
        """One video a clip. made_of: whatever else it depends on. The noise of a clip is the same in every row."""
        works = []
        for index, clip in enumerate(clips):
            seed = self.seed + index
            path = self.kept.path((network.digest, vars(clip), seed, *self.made_of, *made_of))
            works.append((path, partial(make, network.animator, clip, seed)))
        self._make(name, [work for work in works if not work[0].is_file()])
        return [self.kept.video(*work) for work in works]

    def _make(self, name: str, works: list[Work]) -> None:
        processes = min(self.processes, len(works))
        options = {"multiprocessing_context": "fork"} if processes else {}
        made = data_loader(_Videos(self.kept, works), processes, batch_size=None, **options)
        with closing(made), tqdm(made, desc=name, unit=" clips", total=len(works), disable=not works) as bar:
            for _ in bar:
                pass

    def animated(self, name: str, network: Network, clips: Sequence[DrawnClip], given: Given = AS_THE_PAPER):
        return self.videos(name, network, clips, lambda a, clip, seed: a.clip(clip, given, seed), "clip", given)


class _Videos(Dataset):
    """Makes a video and keeps it, wherever it is asked for it."""

    def __init__(self, kept: Kept, works: Sequence[Work]):
        self.kept, self.works = kept, works

    def __len__(self) -> int:
        return len(self.works)

    def __getitem__(self, index: int) -> int:
        self.kept.video(*self.works[index])
        return index


def baselines(bench: Bench, network: Network, clips: Sequence[DrawnClip], scorer: Scorer) -> dict[str, Row]:
    """The model, doing nothing, the wrong motion, and what the VAE alone loses."""
    mistaken = [replace(clip, poses=other.poses) for clip, other in zip(clips, [*clips[1:], clips[0]], strict=True)]
    videos = {
        UNIFIED: bench.animated(UNIFIED, network, clips),
        COPY: copies(clips),
        WRONG: bench.animated(WRONG, network, mistaken),
        RECONSTRUCTED: bench.videos(RECONSTRUCTED, network, clips, lambda a, clip, _: a.reconstructed(clip), "vae"),
    }
    return {name: scorer.row(name, own) for name, own in videos.items()}


def copies(clips: Sequence[DrawnClip]) -> list[np.ndarray]:
    """The reference image in place of every frame."""
    return [np.repeat(clip.reference[None], len(clip.frames), axis=0) for clip in clips]


def compared(
    bench: Bench, networks: Mapping[str, Network], clips: Sequence[DrawnClip], scorer: Scorer
) -> dict[str, Row]:
    """A row for each network, by its name; what was trained without the reference's pose is not given it."""
    return {
        name: scorer.row(name, bench.animated(name, network, clips, Given(reference_pose=name != WITHOUT_POSE)))
        for name, network in networks.items()
    }


def with_and_without_first_frame(
    bench: Bench, network: Network, clips: Sequence[DrawnClip], scorer: Scorer
) -> list[Row]:
    """The true first frame as a condition, or not. The scorer leaves that frame out."""
    return [
        scorer.row(name, bench.animated(name, network, clips, Given(first_frame=given)))
        for name, given in (("without first frame", False), ("with first frame", True))
    ]


def long_videos(
    bench: Bench, network: Network, clips: Sequence[DrawnClip], length: int, scorer: Scorer
) -> tuple[list[Row], list[Row], str]:
    """Chained segments against overlapping windows: (seams and drift, the ordinary scores, what was sampled)."""
    total, overlap = len(clips[0].frames), length // OVERLAP_SHARE
    segments = split_segments(total, length)
    windows = window_ranges(total, length, overlap)
    sampled = (
        f"Each of {len(clips)} videos of {total} frames is sampled as {len(segments)} segments that share a frame, "
        f"{sum(map(len, segments))} frames in all, and as {len(windows)} windows that share {overlap}, "
        f"{sum(map(len, windows))} frames in all; everything else is the same."
    )
    meetings = sorted({0, total, *(each.start for each in windows), *(each.stop for each in windows)})
    chain_parts, window_parts = new_frames(segments), [range(a, b) for a, b in pairwise(meetings)]

    chain = bench.videos("chain", network, clips, lambda a, c, seed: a.chained(c, length, seed), "chain", length)
    windowed = bench.videos(
        "windows", network, clips, lambda a, c, seed: a.windowed(c, length, overlap, seed), "windows", length, overlap
    )
    truths, references = [clip.frames for clip in clips], [clip.reference for clip in clips]
    continuity = [
        continuity_row(name, videos, references, meeting, chain_parts)
        for name, videos, meeting in (
            (CHAIN, chain, chain_parts),
            (WINDOWS, windowed, window_parts),
            ("the truth, where segments meet", truths, chain_parts),
            ("the truth, where windows meet", truths, window_parts),
        )
    ]
    return continuity, [scorer.row(CHAIN, chain), scorer.row(WINDOWS, windowed)], sampled
