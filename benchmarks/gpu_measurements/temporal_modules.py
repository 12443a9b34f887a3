"""The temporal Mamba's scan by each back end, and figure 6 of the paper on this card."""

from __future__ import annotations

from unianimate_core.model.backend import Backend

from .. import scan, temporal
from .measurement import OUT_OF_MEMORY, Bench, Row, Value, Work, costs, unless_out_of_memory

FRAMES = 33
STATES = 16
CALLS = 5
ROUNDS = 3
NETWORK = "the whole network"


def back_ends(bench: Bench, sequences: int, channels: int, precision: str) -> list[Row]:
    """Each back end that works here, forward and with gradients: a gated scan, on a GPU in both directions."""
    shape = (4, 5, 8, STATES) if bench.tiny else (sequences, FRAMES, channels, STATES)
    tensors = scan.inputs(*shape, bench.device, bench.dtype(precision))
    ways = scan.variants(bench.device)
    # On a CPU only the first, which is the one used, has gradients.
    with_gradients = dict(list(ways.items())[: 1 if bench.device.type == "cpu" else None])
    kinds = {
        "forward": {name: scan.inference(way, tensors) for name, way in ways.items()},
        "with gradients": {name: scan.with_gradients(way, tensors) for name, way in with_gradients.items()},
    }
    rows: dict[str, Row] = {name: {"variant": name} for name in ways}
    for kind, works in kinds.items():
        for name, cost in costs(bench, works, calls=CALLS).items():
            rows[name][f"{kind}, ms"] = OUT_OF_MEMORY if cost is None else cost.milliseconds
            if cost is not None and cost.working is not None:
                rows[name][f"{kind}, working GB"] = cost.working / 1e9
    return list(rows.values())


def figure_6(bench: Bench, place: str, lengths: tuple[int, ...]) -> list[Row]:
    """Time and working memory of temporal attention and Mamba against the number of frames, the reference included.

    place: "level 1" to "level 3", "middle" (one temporal module), or NETWORK.
    """
    pixels = (64, 64) if bench.tiny else temporal.PIXELS["released"]
    setting = temporal.Setting(bench.config, pixels, bench.device, bench.dtype("bf16"), Backend.split_bytes)
    lengths = (3, 5) if bench.tiny else lengths
    values = {
        length: unless_out_of_memory(lambda length=length: measured(bench, passes(setting, place, length)))
        for length in lengths
    }
    rows: list[Row] = []
    for unit in ("ms", "working MiB"):
        for variant in temporal.VARIANTS:
            row: Row = {"variant": variant, "unit": unit}
            for length, taken in values.items():
                row[f"{length} frames"] = OUT_OF_MEMORY if taken is None else taken[unit, variant]
            rows.append(row)
    return rows


def passes(setting: temporal.Setting, place: str, frames: int) -> dict[str, Work]:
    """One pass by each variant."""
    if place == NETWORK:
        return {variant: setting.network(variant, frames) for variant in temporal.VARIANTS}
    levels = setting.levels()
    # A small network has fewer levels than the released one.
    size = next((size for name, size in levels.items() if name.startswith(place)), next(iter(levels.values())))
    return {variant: setting.module(variant, size, frames) for variant in temporal.VARIANTS}


def measured(bench: Bench, variants: dict[str, Work]) -> dict[tuple[str, str], Value]:
    """(unit, variant) -> a value, or that memory ran out."""
    memory = temporal.memories(bench.device)(variants)
    times = temporal.seconds(bench.device, min(bench.rounds, ROUNDS))(dict(variants))
    return {
        (unit, variant): OUT_OF_MEMORY if (value := values[variant]) is None else scale * value
        for unit, values, scale in (("ms", times, 1e3), ("working MiB", memory, 2**-20))
        for variant in variants
    }
