"""What a measurement is, and what all measurements share."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TypeVar

import torch

from unianimate_core.config import RELEASED, ModelConfig
from unianimate_core.model import UNet
from unianimate_core.model.backend import Backend
from unianimate_core.precision import DTYPES

from ..denoise import matmul_ceiling, peak_memory
from ..long_video import SMALL
from ..report import interleaved, random_unet, seconds

Result = TypeVar("Result")
Work = Callable[[], object]
Value = str | float | list[float]
Row = dict[str, Value]
"""A row of a table by column. A list holds repeated measurements: its median and range are shown."""

OUT_OF_MEMORY = "out of memory"
TRIAL_SIZE = (2, 64, 64)  # frames, width, height


@dataclass(frozen=True)
class Bench:
    """Where and at which size everything is measured.

    tiny: a small network and clips of TRIAL_SIZE, to try the program where there is no GPU.
    """

    device: torch.device
    tiny: bool = False

    @property
    def config(self) -> ModelConfig:
        return SMALL if self.tiny else RELEASED

    @property
    def rounds(self) -> int:
        """How often each variant is timed."""
        return 1 if self.tiny else 5

    def size(self, frames: int, width: int, height: int) -> tuple[int, int, int]:
        return TRIAL_SIZE if self.tiny else (frames, width, height)

    def dtype(self, precision: str) -> torch.dtype:
        """Of a precision; fp32 on a CPU, which without units for fp16 is very slow in it."""
        return torch.float32 if self.device.type == "cpu" else DTYPES[precision]

    def network(self, dtype: torch.dtype) -> UNet:
        """The network with random weights, as it is used."""
        return random_unet(self.config, self.device, dtype, Backend.split_bytes)

    def ceiling(self, dtype: torch.dtype) -> float:
        """Operations a second of a large matrix product, measured each time, since a warm GPU is slower."""
        return cpu_ceiling() if self.device.type == "cpu" else matmul_ceiling(self.device, dtype, self.rounds)


@cache
def cpu_ceiling() -> float:
    return matmul_ceiling(torch.device("cpu"), torch.float32, 1)


@dataclass(frozen=True)
class Measurement:
    """One entry of the list.

    measure: returns the rows; raises ImportError if a package is missing and OutOfMemoryError if memory runs out.
    host_seconds, card_seconds: estimates of what it takes beside the GPU's work (building, counting, compiling), and of
    the GPU's work on an H100.
    """

    name: str
    measure: Callable[[Bench], list[Row]]
    host_seconds: float
    card_seconds: float

    def estimate(self, slowness: float) -> float:
        """Seconds on a card that is this many times slower than an H100."""
        return self.host_seconds + slowness * self.card_seconds


@dataclass(frozen=True)
class Section:
    """Measurements that share a table. note: how to read it."""

    title: str
    note: str
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True)
class Cost:
    """What one variant takes.

    first: seconds of its first run, which warms it up; times: of the others, a call each. peak: bytes on the GPU at the
    worst moment, None on a CPU; working: of them, what was not held before; None if unknown.
    """

    first: float
    times: list[float]
    peak: float | None
    working: float | None

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def milliseconds(self) -> list[float]:
        return [1e3 * time for time in self.times]


def costs(bench: Bench, variants: Mapping[str, Work], *, calls: int = 1) -> dict[str, Cost | None]:
    """Time and memory of each variant, timed in turns after a warm-up; None if it does not fit into memory.

    calls: each time is the mean of as many calls, so that the start of a short one does not count.
    """
    calls = 1 if bench.tiny else calls
    first = {name: unless_out_of_memory(partial(seconds, work, bench.device)) for name, work in variants.items()}
    fitting = {name: work for name, work in variants.items() if first[name] is not None}
    memory = {name: peak_and_working(work, bench.device) for name, work in fitting.items()}
    runs = {name: repeated(work, calls) for name, work in fitting.items()}
    times = interleaved(runs, bench.rounds, bench.device)
    return {
        name: None if time is None else Cost(time, [run / calls for run in times[name]], *memory[name])
        for name, time in first.items()
    }


def repeated(work: Work, calls: int) -> Work:
    def run() -> None:
        for _ in range(calls):
            work()

    return run


def peak_and_working(work: Work, device: torch.device) -> tuple[float | None, float | None]:
    """Bytes at the worst moment of work, and those of them that were not held before."""
    if device.type != "cuda":
        return None, peak_memory(work, device)
    held = torch.cuda.memory_allocated(device)
    peak = peak_memory(work, device)
    return peak, None if peak is None else peak - held


def unless_out_of_memory(work: Callable[[], Result]) -> Result | None:
    """The result of work, or None if memory ran out."""
    try:
        return work()
    except torch.OutOfMemoryError:
        pass  # memory is freed below, where no traceback holds tensors any more
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def memory_columns(cost: Cost) -> Row:
    return {
        f"{name} GB": size / 1e9 for name, size in (("peak", cost.peak), ("working", cost.working)) if size is not None
    }
