"""What helps against drift: each way of joining segments, in chains of held-out drawn characters, beside the truth.

    python -m benchmarks.drift                                          a made-up network: see comparison/follower.py
    python -m benchmarks.drift --transformer models/mini/unianimate/unianimate_mini.safetensors --processes 2

Videos are kept under build/paper_tables: the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch

from unianimate_core.drawn_world.characters import DrawnClip
from unianimate_core.evaluation.bootstrap import finite_mean
from unianimate_core.evaluation.continuity import detail
from unianimate_core.evaluation.metrics import FRAME_METRICS
from unianimate_core.long_video.chain import new_frames, split_segments
from unianimate_core.long_video.seams import Seams
from unianimate_core.media.images import as_images
from unianimate_core.sampling import SamplingSettings
from unianimate_core.vae.autoencoder import Autoencoder

from .comparison.animation import ClipAnimator
from .comparison.codec import load_codec
from .comparison.follower import Follower
from .comparison.options import ComparisonParser, bench_of, described, drawn_clips, settings_of
from .comparison.rows import Bench, Network, load_compared
from .comparison.scores import Row, continuity_row, continuity_table
from .report import RESULTS, write

# How segments meet, and whether each starts from the noise prior.
WAYS: dict[str, tuple[Seams, bool]] = {
    "the paper's": (Seams(), True),
    "without noise prior": (Seams(), False),
    "match_colors 0.5": (Seams(match_colors=0.5), True),
    "match_colors 1": (Seams(match_colors=1.0), True),
    "hold_latents": (Seams(hold_latents=True), True),
    "shared_frames 4": (Seams(shared_frames=4), True),
    "shared_frames 4, hold_latents": (Seams(shared_frames=4, hold_latents=True), True),
    "hold_latents, without noise prior": (Seams(hold_latents=True), False),
}


def chains(bench: Bench, network: Network, clips: Sequence[DrawnClip], length: int) -> list[Row]:
    """A row for each of WAYS, then one for the truth."""
    total = len(clips[0].frames)
    stretches = new_frames(split_segments(total, length))  # the same stretches of time for every row
    truths, references = [clip.frames for clip in clips], [clip.reference for clip in clips]
    rows = []
    for name, (seams, prior) in WAYS.items():
        if not prior and isinstance(network.animator, Follower):
            continue  # it starts from no noise
        segments = split_segments(total, length, seams.shared_frames)
        own = network.animator
        settings = own.settings if prior else dataclasses.replace(own.settings, noise_prior=0)
        animator = dataclasses.replace(network, animator=own.sampled(settings))
        made_of = ("drift", length, seams, settings, own.precision)
        videos = bench.videos(
            name, animator, clips, lambda a, c, seed, j=seams: a.chained(c, length, seed, j), *made_of
        )
        rows.append(scored(name, videos, truths, references, new_frames(segments), stretches))
    return [*rows, scored("the truth", truths, truths, references, stretches, stretches)]


def scored(
    name: str,
    videos: Sequence[np.ndarray],
    truths: Sequence[np.ndarray],
    references: Sequence[np.ndarray],
    meeting: Sequence[range],
    stretches: Sequence[range],
) -> Row:
    """Seams and drift, and what is left of truth and detail in the last stretch of time."""
    row = continuity_row(name, videos, references, meeting, stretches)
    scores = dict(row.scores)
    del scores["drift, first segment"], scores["drift, last segment"]
    for part, place in (("first", stretches[0]), ("last", stretches[-1])):
        pairs = [
            (v[place.start : place.stop], t[place.start : place.stop]) for v, t in zip(videos, truths, strict=True)
        ]
        psnr = FRAME_METRICS["psnr_star"]
        scores[f"PSNR, {part} segment"] = np.array(
            [finite_mean(psnr(as_images(v), as_images(t)).numpy()) for v, t in pairs]
        )
        scores[f"detail, {part} segment"] = np.array([detail(v).mean() / detail(t).mean() for v, t in pairs])
    return Row(name, scores)


def main() -> None:
    options = parse()
    settings = settings_of(options)
    codec = load_codec(options.vae, options.device)
    network, weights = compared_network(options, codec, settings)
    bench = bench_of(options)
    total = options.segments * (options.frames - 1) + 1
    clips = drawn_clips(options, "validation", options.clips, total)
    sampled = described(settings, options.precision)
    body = f"""
{options.clips} characters and motions of the validation split, {options.segments} segments of {options.frames} frames \
of {options.width}x{options.height} (width x height); {sampled} but where a row says otherwise.

A jump is the change where segments meet, in units of the ordinary change from frame to frame. Growth a segment is \
that of the colors' distance to the reference, in 8-bit steps. Detail is the difference of neighboring pixels, as a \
share of the truth's. Means over clips with 95 % bootstrap intervals.

{continuity_table(chains(bench, network, clips, options.frames))}
"""
    write(options.output, "Drift over chained segments", torch.device(options.device), body, weights)


def compared_network(
    options: argparse.Namespace, codec: Autoencoder, settings: SamplingSettings
) -> tuple[Network, str]:
    """The trained network, or the made-up one; and what the report says of its weights."""
    if options.transformer is None:
        follower = cast(ClipAnimator, Follower(codec, options.follow))  # chains as one does, and can do nothing else
        said = (
            f"none: a made-up network that knows the truth and takes over {options.follow:.0%} of what its first frame "
            "differs by (benchmarks/comparison/follower.py)"
        )
        return Network(follower, f"follower {options.follow}", 0), said
    network = load_compared(options.transformer, codec, settings, options.precision, options.device)
    return network, f"{options.transformer.name}, {network.parameters / 1e6:.2f} M parameters"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = ComparisonParser(__doc__, RESULTS / "drift.md")
    parser.add_argument("--transformer", type=Path, help="a trained network (default: the made-up one)")
    parser.add_argument(
        "--follow", type=float, default=0.9, help="of the made-up network: see comparison/follower.py (default: 0.9)"
    )
    parser.add_argument("--clips", type=int, default=10, help="characters and motions (default: 10)")
    parser.add_argument("--segments", type=int, default=10, help="of a video, of --frames each (default: 10)")
    return parser.parsed(arguments)


if __name__ == "__main__":
    main()
