"""The figure of benchmarks.temporal: memory above, time below, a column for each level and one for the network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

Curves = dict[str, list[float | None]]

STYLES = {
    "attention, unfused": {"color": "#b2182b", "marker": "s"},
    "attention, fused": {"color": "#ef8a62", "marker": "o"},
    "Mamba, expand 1": {"color": "#67a9cf", "marker": "^"},
    "Mamba, expand 2": {"color": "#2166ac", "marker": "v"},
}


def draw(
    path: Path,
    frames: Sequence[int],
    whole: dict[str, Curves],
    in_pieces: dict[str, Curves],
    times: dict[str, Curves],
    timed: str,
) -> None:
    """Write the figure. Memory in bytes, time in seconds; both axes logarithmic, so a slope of 1 is linear growth."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 * len(whole), 7.4), layout="constrained")
    rows = figure.subplots(2, len(whole), squeeze=False)
    for column, (name, above) in enumerate(whole.items()):
        top, bottom = rows[0][column], rows[1][column]
        for variant, style in STYLES.items():
            top.plot(frames, _scaled(above[variant], 2**-30), label=variant, **style)
            top.plot(frames, _scaled(in_pieces[name][variant], 2**-30), **style, linestyle=":", markersize=3)
        top.set_title(f"{name}\nmemory, GiB")
        timed_name = list(times)[column]
        for variant, style in STYLES.items():
            bottom.plot(frames, _scaled(times[timed_name][variant], 1), label=variant, **style)
        bottom.set_title(f"{timed_name}\ntime, s")
        for axes in (top, bottom):
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xticks(frames, [str(count) for count in frames])
            axes.grid(alpha=0.3)
    rows[0][0].legend(fontsize=8)
    figure.suptitle(
        "Temporal modules against frames. Memory: the released network, 512x768; solid: all made whole, "
        f"dotted: in pieces, as used.\nTime: {timed}, in pieces. Slope 1 is linear, slope 2 quadratic.",
        fontsize=10,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _scaled(values: list[float | None], factor: float) -> list[float]:
    return [float("nan") if value is None else value * factor for value in values]
