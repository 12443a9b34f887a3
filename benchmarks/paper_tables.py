"""The paper's comparisons at the scale of the drawn world: tables 4 and 5, section 5, first-frame conditioning, and two
baselines that a model must beat. Characters and motions are of the test split, which no training has seen.

    python -m benchmarks.paper_tables --ablations build/ablations --processes 2 --precision bf16

The networks of --ablations are smaller ones that benchmarks.train_ablation has trained alike. Videos are kept under
build/paper_tables: the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch

from unianimate_core import mini
from unianimate_core.drawn_world.characters import DrawnClip, WorldSettings
from unianimate_core.evaluation.bootstrap import Estimate
from unianimate_core.evaluation.metrics import FVD
from unianimate_core.evaluation.weights import default_folder
from unianimate_core.training.presets import preset

from . import train_ablation
from .comparison.codec import load_codec
from .comparison.options import ComparisonParser, bench_of, described, drawn_clips, settings_of
from .comparison.rows import (
    COPY,
    MAMBA,
    SEPARATE,
    UNIFIED,
    WITHOUT_POSE,
    WRONG,
    Bench,
    Network,
    baselines,
    compared,
    copies,
    load_compared,
    long_videos,
    with_and_without_first_frame,
)
from .comparison.scores import Row, Scorer, above, continuity_table
from .report import RESULTS, write

TITLE = "The paper's tables at the scale of the drawn world"
KINDS = {
    UNIFIED: train_ablation.UNIFIED,
    WITHOUT_POSE: train_ablation.WITHOUT_POSE,
    SEPARATE: train_ablation.SEPARATE,
    MAMBA: train_ablation.MAMBA,
}
"""Rows of networks that were trained alike, and what benchmarks.train_ablation calls them."""
LEAST_ABOVE_BASELINES, MOST_BELOW_TRANSFORMER, LARGEST_JUMP = 5.0, 1.0, 1.5


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    settings, codec = settings_of(options), load_codec(options.vae, options.device)
    bench = bench_of(options, settings, options.precision)

    def load(paths: Mapping[str, Path]) -> dict[str, Network]:
        how = codec, settings, options.precision, options.device
        return {name: load_compared(path, *how) for name, path in paths.items()}

    files, steps = ({}, 0) if options.ablations is None else train_ablation.finished(options.ablations)
    shipped = load({UNIFIED: options.transformer} | ({MAMBA: options.mamba} if options.mamba.is_file() else {}))
    alike = load({name: files[kind] for name, kind in KINDS.items() if kind in files})
    scorer, sections = measure(options, bench, shipped, alike)
    body = "\n\n".join([introduction(options, scorer), *(f"## {title}\n\n{text}" for title, text in sections.items())])
    weights = listed(shipped) + (f"; trained alike for {steps:,} steps: {listed(alike)}" if alike else "")
    write(options.output, TITLE, torch.device(options.device), body, weights)


def listed(networks: Mapping[str, Network]) -> str:
    return ", ".join(f"{name}, {network.parameters / 1e6:.2f} M parameters" for name, network in networks.items())


def measure(
    options: argparse.Namespace, bench: Bench, shipped: Mapping[str, Network], alike: Mapping[str, Network]
) -> tuple[Scorer, dict[str, str]]:
    """The sections of the report by their titles, and what scored the clips."""
    transformer = shipped[UNIFIED]
    clips = drawn_clips(options, "test", options.clips, options.frames)
    scorer, after_first = scorer_of(options, clips), scorer_of(options, clips, skip=1)
    rows = baselines(bench, transformer, clips, scorer)
    rows |= compared(bench, {name: network for name, network in shipped.items() if name == MAMBA}, clips, scorer)
    first_frames = with_and_without_first_frame(bench, transformer, clips, after_first)
    long_clips = drawn_clips(options, "test", options.long_clips, options.segments * (options.frames - 1) + 1)
    long_scorer = scorer_of(options, long_clips)
    continuity, long_rows, sampled = long_videos(bench, transformer, long_clips, options.frames, long_scorer)
    table4, table5 = among_equals(options, bench, alike)

    return scorer, {
        "Bars": verdicts(rows, rows.get(MAMBA), continuity[0]),
        "Baselines": scorer.table([row for name, row in rows.items() if name != MAMBA], rows[UNIFIED]),
        "Table 4: ablations": table4,
        "Table 5: temporal modelling": f"{table_of(scorer, rows, (UNIFIED, MAMBA))}\n\n{table5}",
        "First-frame conditioning": f"The given frame does not count.{_too_short(scorer, after_first)}\n\n"
        + after_first.table(first_frames, first_frames[0]),
        "Section 5: long video": f"{sampled}\n\n{continuity_table(continuity)}\n\n"
        + long_scorer.table(long_rows, long_rows[0]),
    }


def among_equals(options: argparse.Namespace, bench: Bench, networks: Mapping[str, Network]) -> tuple[str, str]:
    """Tables 4 and 5 of the networks that were trained alike, at their own size."""
    heading = f"Trained alike, at {options.ablation_width}x{options.ablation_height}"
    if not networks:
        missing = f"{heading}: not measured, for want of checkpoints."
        return missing, missing
    size = options.ablation_width, options.ablation_height
    clips = drawn_clips(options, "test", options.clips, options.frames, size)
    scorer = scorer_of(options, clips)
    rows = compared(bench, networks, clips, scorer) | {COPY: scorer.row(COPY, copies(clips))}
    tables = [table_of(scorer, rows, names) for names in ((UNIFIED, WITHOUT_POSE, SEPARATE, COPY), (UNIFIED, MAMBA))]
    return f"{heading}:\n\n{tables[0]}", f"{heading}:\n\n{tables[1]}"


def scorer_of(options: argparse.Namespace, clips: Sequence[DrawnClip], skip: int = 0) -> Scorer:
    return Scorer([clip.frames for clip in clips], options.weights, options.device, skip)


def table_of(scorer: Scorer, rows: Mapping[str, Row], names: Sequence[str]) -> str:
    """Rows beside the first of them that there is, and below which there are not."""
    found = [rows[name] for name in names if name in rows]
    absent = [name for name in names if name not in rows]
    missing = f"\n\nNot measured, for want of a checkpoint: {', '.join(absent)}." if absent else ""
    return scorer.table(found, found[0]) + missing


def verdicts(rows: dict[str, Row], mamba: Row | None, chain: Row) -> str:
    """Which bars hold, by the mean and by the whole interval."""
    lines = []
    for name in (COPY, WRONG):
        gain = above(rows[UNIFIED], rows[name])
        lines.append(_verdict(f"dB above {name}", gain, "at least", LEAST_ABOVE_BASELINES))
    if mamba is not None:
        loss = above(rows[UNIFIED], mamba)
        lines.append(_verdict("dB of Mamba below Transformer", loss, "at most", MOST_BELOW_TRANSFORMER))
    jump = chain.estimate("mean jump")
    lines.append(_verdict("jump at the seams of a chain", jump, "at most", LARGEST_JUMP))
    return "\n".join(lines)


def _verdict(what: str, estimate: Estimate, asked: Literal["at least", "at most"], bar: float) -> str:
    side = 1 if asked == "at least" else -1
    mean, *ends = (side * (value - bar) for value in (estimate.value, estimate.low, estimate.high))
    if mean >= 0:
        verdict, wholly = "holds", ", and so does the whole interval" if min(ends) >= 0 else "; the interval crosses it"
    else:
        verdict, wholly = "**does not hold**", "; the interval crosses it" if max(ends) >= 0 else ""
    if math.isnan(estimate.low):  # one clip has no interval
        wholly = ""
    return f"- {what}: {estimate.shown(2)}; asked for is {asked} {bar}: {verdict}{wholly}"


def _too_short(scorer: Scorer, other: Scorer) -> str:
    return " The others are too few for FVD." if FVD in scorer.metrics and FVD not in other.metrics else ""


def introduction(options: argparse.Namespace, scorer: Scorer) -> str:
    world = "" if options.world == WorldSettings() else f" of {options.world}"
    alike = (
        " Networks that were trained alike, on the same clips in the same order for as many steps, are smaller and "
        f"animate the same characters and motions at {options.ablation_width}x{options.ablation_height}."
        if options.ablations is not None
        else ""
    )
    fewer = (
        f", fewer because each takes at least the work of {2 * options.segments} clips: it is made twice"
        if options.long_clips < options.clips
        else ""
    )
    missing = f" LPIPS and FVD need files that were not at hand: {', '.join(scorer.missing)}." if scorer.missing else ""
    sampled = described(settings_of(options), options.precision)
    return f"""
{options.clips} characters and motions of the test split{world}, {options.frames} frames of \
{options.width}x{options.height} (width x height); {options.long_clips} long videos of {options.segments} \
segments{fewer}.{alike} {sampled}, for every network; the noise of a clip is the same in every \
row. The text states are zeros and there is no image embedding.

Means over clips with 95 % bootstrap intervals over clips; the last column is the mean difference on the same clips. \
L1 in [0, 1]; PSNR* in dB as in the paper, equal to PSNR here, since nothing overflows; SSIM of gray frames.{missing}

In section 5 a jump is the change where segments meet, or where a window begins or ends, in units of the ordinary \
change from frame to frame; drift is the distance of colors to the reference's, in 8-bit steps.
""".strip()


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    small = preset("ablation").settings
    parser = ComparisonParser(__doc__, RESULTS / "paper_tables.md")
    parser.add_argument("--transformer", type=Path, default=mini.TRANSFORMER, help="default: UniAnimate-mini's")
    parser.add_argument("--mamba", type=Path, default=mini.MAMBA, help="table 5 (default: UniAnimate-mini's)")
    parser.add_argument("--ablations", type=Path, help="tables 4 and 5: folder of benchmarks.train_ablation")
    parser.add_argument("--ablation-width", type=int, default=small["width"], help="of what --ablations animate")
    parser.add_argument("--ablation-height", type=int, default=small["height"])
    parser.add_argument("--clips", type=int, default=50, help="characters and motions (default: 50)")
    parser.add_argument("--long-clips", type=int, default=5, help="long videos (default: 5)")
    parser.add_argument("--segments", type=int, default=10, help="of a long video, of --frames each (default: 10)")
    parser.add_argument("--weights", type=Path, default=default_folder(), help="folder of LPIPS' and FVD's networks")
    return parser.parsed(arguments)


if __name__ == "__main__":
    main()
