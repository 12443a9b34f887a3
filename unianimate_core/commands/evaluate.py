"""python -m unianimate_core evaluate."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_evaluate(commands) -> None:
    command = commands.add_parser(
        "evaluate",
        help="measure videos against the true ones",
        description="Measure the videos of one folder against the true videos of the same names in another. A folder "
        "of images counts as a video. Intervals are bootstrapped over videos.",
    )
    command.add_argument("results", type=Path, metavar="RESULTS", help="folder of videos to measure, or one video")
    command.add_argument("truth", type=Path, metavar="TRUTH", help="folder of the true videos, or one video")
    command.add_argument(
        "--metrics",
        nargs="+",
        metavar="NAME",
        help="l1, psnr, psnr_star and ssim (the default); lpips and fvd, which need downloaded weights; seam and "
        "drift, for long videos; l1_published and psnr_published, only for comparison with the paper's columns",
    )
    command.add_argument("--resize", metavar="WIDTHxHEIGHT", help="resize both before measuring, such as 256x256")
    command.add_argument("--segment-length", type=int, metavar="FRAMES", help="of a long video, for seam and drift")
    command.add_argument("--json", type=Path, metavar="FILE", help="write all results, each video's included")
    command.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    command.add_argument(
        "--weights", type=Path, metavar="FOLDER", help="of downloaded weights (default: PyTorch's own)"
    )
    command.add_argument("--backbone", choices=("vgg", "alex"), default="vgg", help="of LPIPS (default: vgg)")
    command.add_argument("--device", default="auto", help="of the networks: auto, cpu or cuda (default: auto)")
    command.set_defaults(run=_evaluate)


def _evaluate(options: argparse.Namespace) -> None:
    from tqdm import tqdm

    from ..evaluation.folders import parse_size
    from ..evaluation.report import as_text, write_json
    from ..evaluation.run import EvaluationSettings, evaluate

    given = {
        "metrics": options.metrics and tuple(options.metrics),
        "size": options.resize and parse_size(options.resize),
        "segment_length": options.segment_length,
        "weights": options.weights,
    }
    settings = EvaluationSettings(
        backbone=options.backbone,
        device=options.device,
        seed=options.seed,
        **{name: value for name, value in given.items() if value is not None},
    )
    with tqdm(desc="measuring", unit=" videos") as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        evaluation = evaluate(options.results, options.truth, settings, progress=progress)
    print(as_text(evaluation))
    if options.json:
        write_json(evaluation, options.json)
        print(f"\nwrote {options.json}")
