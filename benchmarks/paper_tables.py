"""The paper's comparisons at the scale of the drawn world: tables 4 and 5, section 5, first-frame conditioning, and two
baselines that a model must beat. Characters and motions are of the test split, which no training has seen.

    python -m benchmarks.paper_tables --transformer models/mini/NAME.safetensors --vae models/mini/NAME.safetensors

Videos are kept under build/paper_tables: the same command goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from unianimate_core.evaluation.bootstrap import Estimate
from unianimate_core.evaluation.metrics import FVD
from unianimate_core.evaluation.weights import default_folder
from unianimate_core.training.characters import WorldSettings, draw_clip

from .animation import Sampling
from .codec import load_codec
from .paper_rows import (
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
    digest_of,
    load_compared,
    long_videos,
    with_and_without_first_frame,
)
from .paper_scores import Kept, Row, Scorer, above, continuity_table
from .report import RESULTS, write

TITLE = "The paper's tables at the scale of the drawn world"
TRANSFORMER = "temporal Transformer"
LEAST_ABOVE_BASELINES, MOST_BELOW_TRANSFORMER, LARGEST_JUMP = 5.0, 1.0, 1.5


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    sampling = Sampling(options.steps, options.guidance, not options.no_noise_prior)
    codec = load_codec(options.vae, options.device)
    bench = Bench(Kept(options.keep), (digest_of(options.vae), sampling), options.seed)
    paths = {
        TRANSFORMER: options.transformer,
        UNIFIED: options.unified or options.transformer,
        WITHOUT_POSE: options.without_reference_pose,
        SEPARATE: options.separate_reference,
        MAMBA: options.mamba,
    }
    networks = {
        name: None if path is None else load_compared(path, codec, sampling, options.device)
        for name, path in paths.items()
    }
    scorer, sections = measure(options, bench, networks)
    body = "\n\n".join([introduction(options, scorer), *(f"## {title}\n\n{text}" for title, text in sections.items())])
    weights = "; ".join(
        f"{name}: {paths[name].name}, {network.parameters / 1e6:.2f} M parameters"
        for name, network in networks.items()
        if network is not None
    )
    write(options.output, TITLE, torch.device(options.device), body, weights)


def measure(
    options: argparse.Namespace, bench: Bench, networks: dict[str, Network | None]
) -> tuple[Scorer, dict[str, str]]:
    """The sections of the report by their titles, and what scored the clips."""
    transformer = networks[TRANSFORMER]
    assert transformer is not None
    drawn = {"height": options.height, "width": options.width, "split": "test", "world": options.world}
    clips = [draw_clip(index, options.frames, **drawn) for index in range(options.clips)]
    truths = [clip.frames for clip in clips]
    scorer = Scorer(truths, options.weights, options.device)
    after_first = Scorer(truths, options.weights, options.device, skip=1)

    rows = baselines(bench, transformer, clips, scorer)
    ablations = {name: networks[name] for name in (UNIFIED, WITHOUT_POSE, SEPARATE)}
    table4 = compared(bench, ablations, clips, scorer)
    mamba = compared(bench, {MAMBA: networks[MAMBA]}, clips, scorer)
    first_frames = with_and_without_first_frame(bench, transformer, clips, after_first)
    long_frames = options.segments * (options.frames - 1) + 1
    long_clips = [draw_clip(index, long_frames, **drawn) for index in range(options.long_clips)]
    long_scorer = Scorer([clip.frames for clip in long_clips], options.weights, options.device)
    continuity, long_rows = long_videos(bench, transformer, long_clips, options.frames, long_scorer)

    return scorer, {
        "Bars": verdicts(rows, mamba[0] if mamba else None, continuity[0]),
        "Baselines": scorer.table(list(rows.values()), rows[UNIFIED]),
        "Table 4: ablations": scorer.table(table4, table4[0]) + _absent(ablations),
        "Table 5: temporal modelling": scorer.table([rows[UNIFIED], *mamba], rows[UNIFIED])
        + _absent({MAMBA: networks[MAMBA]}),
        "First-frame conditioning": f"The given frame does not count.{_too_short(scorer, after_first)}\n\n"
        + after_first.table(first_frames, first_frames[0]),
        "Section 5: long video": f"{continuity_table(continuity)}\n\n{long_scorer.table(long_rows, long_rows[0])}",
    }


def verdicts(rows: dict[str, Row], mamba: Row | None, chain: Row) -> str:
    """Which bars hold, by the mean."""
    lines = []
    for name in (COPY, WRONG):
        gain = above(rows[UNIFIED], rows[name])
        holds = gain.value >= LEAST_ABOVE_BASELINES
        lines.append(_verdict(f"dB above {name}", gain, f"at least {LEAST_ABOVE_BASELINES}", holds))
    if mamba is not None:
        loss = above(rows[UNIFIED], mamba)
        holds = loss.value <= MOST_BELOW_TRANSFORMER
        lines.append(_verdict("dB of Mamba below Transformer", loss, f"at most {MOST_BELOW_TRANSFORMER}", holds))
    jump = chain.estimate("mean jump")
    holds = jump.value <= LARGEST_JUMP
    lines.append(_verdict("jump at the seams of a chain", jump, f"at most {LARGEST_JUMP}", holds))
    return "\n".join(lines)


def _verdict(what: str, estimate: Estimate, asked: str, holds: bool) -> str:
    return f"- {what}: {estimate.shown(2)}; asked for is {asked}: {'holds' if holds else '**does not hold**'}"


def _absent(networks: dict[str, Network | None]) -> str:
    absent = [name for name, network in networks.items() if network is None]
    return f"\n\nNot measured, for want of a checkpoint: {', '.join(absent)}." if absent else ""


def _too_short(scorer: Scorer, other: Scorer) -> str:
    return " The others are too few for FVD." if FVD in scorer.metrics and FVD not in other.metrics else ""


def introduction(options: argparse.Namespace, scorer: Scorer) -> str:
    prior = "pure noise" if options.no_noise_prior else "the authors' noise prior"
    world = "" if options.world == WorldSettings() else f" of {options.world}"
    missing = f" LPIPS and FVD need files that were not at hand: {', '.join(scorer.missing)}." if scorer.missing else ""
    return f"""
{options.clips} characters and motions of the test split{world}, {options.frames} frames of \
{options.width}x{options.height} (width x height); {options.long_clips} long videos of {options.segments} segments. \
DDIM, {options.steps} steps, guidance {options.guidance}, from {prior}; the noise of a clip is the same in every row. \
The text states are zeros and there is no picture embedding.

Means over clips with 95 % bootstrap intervals over clips; the last column is the mean difference on the same clips. \
L1 in [0, 1]; PSNR* in dB as in the paper, equal to PSNR here, since nothing overflows; SSIM of grey frames.{missing}

In section 5 a jump is the change where segments meet, or where a window begins or ends, in units of the ordinary \
change from frame to frame; drift is the distance of colours to the reference's, in 8-bit steps.
""".strip()


def parse_world(text: str) -> WorldSettings:
    """WorldSettings from the JSON of what differs from its defaults."""
    return WorldSettings(**json.loads(text))


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--transformer", type=Path, required=True, help="the network of every table but 4")
    parser.add_argument("--mamba", type=Path, help="table 5")
    parser.add_argument(
        "--unified", type=Path, help="table 4: trained as long as its ablations (default: --transformer)"
    )
    parser.add_argument("--without-reference-pose", type=Path, help="table 4: trained without it")
    parser.add_argument("--separate-reference", type=Path, help="table 4: a network of benchmarks.separate_reference")
    parser.add_argument("--vae", type=Path, help="of the drawn world; without it one colour for 8x8 pixels")
    parser.add_argument("--world", type=parse_world, default="{}", help="JSON of the WorldSettings of training")
    parser.add_argument("--clips", type=int, default=50, help="characters and motions (default: 50)")
    parser.add_argument("--frames", type=int, default=16, help="of a clip, and of a segment (default: 16)")
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--height", type=int, default=192)
    parser.add_argument("--long-clips", type=int, default=10, help="long videos (default: 10)")
    parser.add_argument("--segments", type=int, default=10, help="of a long video (default: 10)")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--guidance", type=float, default=2.5)
    parser.add_argument("--no-noise-prior", action="store_true", help="start from pure noise")
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default: 0)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--weights", type=Path, default=default_folder(), help="folder of LPIPS' and FVD's networks")
    parser.add_argument("--keep", type=Path, default=Path("build/paper_tables"), help="folder of finished videos")
    parser.add_argument("--output", type=Path, default=RESULTS / "paper_tables.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
