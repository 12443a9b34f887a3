"""How the small networks learned: the log of each training, as a table and a figure.

python -m benchmarks.mini_training transformer=runs/mini "Mamba, distilled"=runs/mini-distilled
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from unianimate_core.training.loop.curves import read_curves

from . import report

LOSSES = {
    "loss/timesteps 750": "750 to 999",
    "loss/timesteps 500": "500 to 749",
    "loss/timesteps 250": "250 to 499",
    "loss/timesteps 0": "0 to 249",
    "loss/all": "all timesteps",
}
SMOOTH = 25  # number of lines to average
Log = list[dict[str, float]]


def read_log(run: Path) -> Log:
    """The lines of a run's log, one per step. If a kill made the run repeat a step, the last line counts."""
    by_step: dict[float, dict[str, float]] = {}
    for line in read_curves(run / "curves" / "curves.jsonl"):
        by_step[line["step"]] = by_step.get(line["step"], {}) | line
    return [by_step[step] for step in sorted(by_step)]


def smoothed(log: Log, name: str) -> tuple[list[float], list[float]]:
    """The steps with a value, and at each the mean of the latest values."""
    points = [(line["step"], line[name]) for line in log if name in line]
    latest = [[value for _, value in points[max(0, end - SMOOTH) : end]] for end in range(1, len(points) + 1)]
    return [step for step, _ in points], [sum(values) / len(values) for values in latest]


def row(name: str, log: Log) -> list[str]:
    """A row of the table: the losses at the end of a run, and its last validation."""
    ends = [f"{values[-1]:.4f}" for _, values in (smoothed(log, loss) for loss in LOSSES)]
    validations = [line["validation/PSNR"] for line in log if "validation/PSNR" in line]
    return [name, str(int(log[-1]["step"])), *ends, f"{validations[-1]:.1f}" if validations else "none"]


def keep(path: Path, log: Log) -> None:
    """Write the log as CSV."""
    names = list(dict.fromkeys(name for line in log for name in line))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(log)


def draw(path: Path, logs: Mapping[str, Log]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.2 * len(logs), 3.8), layout="constrained")
    for axes, (name, log) in zip(figure.subplots(1, len(logs), squeeze=False)[0], logs.items(), strict=True):
        for loss, label in LOSSES.items():
            axes.plot(*smoothed(log, loss), label=label, linewidth=2 if loss == "loss/all" else 1)
        axes.set_title(name)
        axes.set_xlabel("step")
        axes.set_yscale("log")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("loss")
    figure.axes[0].legend(fontsize=8, title="timesteps")
    figure.savefig(path, dpi=110)


def named(text: str) -> tuple[str, Path]:
    """A run's name and folder from NAME=RUN. Raises ArgumentTypeError if either is missing."""
    name, _, run = text.partition("=")
    if not name or not run:
        raise argparse.ArgumentTypeError(f"{text!r} is not a named run: write NAME=RUN")
    return name, Path(run)


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "runs", nargs="+", type=named, metavar="NAME=RUN", help="a folder of `train`, and its name in the report"
    )
    parser.add_argument("--output", type=Path, default=report.RESULTS / "mini_training.md")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    logs = {name: read_log(run) for name, run in options.runs}
    for number, log in enumerate(logs.values(), start=1):
        keep(options.output.with_name(f"{options.output.stem}_{number}.csv"), log)
    figure = options.output.with_suffix(".png")
    draw(figure, logs)
    header = ("training", "steps", *LOSSES.values(), "validation PSNR, dB")
    body = (
        f"Training losses by timestep, as means over the last {SMOOTH} lines of the log. Different trainings may have "
        "different losses. Every line is in mini_training_N.csv, N by the order here.\n\n"
        + report.table(header, [row(name, log) for name, log in logs.items()])
        + f"\n\n![losses against steps]({figure.name})"
    )
    weights = "as models/mini/README.md says"
    report.write(options.output, "The training of UniAnimate-mini", torch.device("cpu"), body, weights)


if __name__ == "__main__":
    main()
