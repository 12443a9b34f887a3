"""python -m unianimate_core evaluate: from options to a printed report."""

from __future__ import annotations

import argparse

from tqdm import tqdm

from .folders import parse_size
from .report import as_text, write_json
from .run import EvaluationSettings, evaluate


def run(options: argparse.Namespace) -> None:
    """Print the report, and write it where --json says. Raises as evaluate does."""
    given = {
        "metrics": tuple(options.metrics) if options.metrics else None,
        "size": parse_size(options.resize) if options.resize else None,
        "weights": options.weights,
    }
    settings = EvaluationSettings(
        backbone=options.backbone,
        segment_length=options.segment_length,
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
