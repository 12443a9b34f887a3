"""Processes that read and draw data."""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Generator
from typing import Any

import torch
from torch.utils.data import DataLoader

STOP_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that ask a run to stop: Ctrl-C, a scheduler, a closed terminal (which Windows has no signal for)."""

_PR_SET_PDEATHSIG = 1


def data_loader(dataset: Any, workers: int, **options: Any) -> Generator[Any]:
    """The items of a DataLoader, whose processes end when this generator is closed. options: of DataLoader.

    The processes ignore signals. Ctrl-C, a closed terminal and many schedulers signal every process of a run, and the
    run needs data to end its step. If the run is killed, Linux kills them too. Elsewhere PyTorch's own check does,
    which takes seconds and misses some cases.
    """
    # With its own generator, the seed of the processes is not drawn from the random numbers of the network's dropout.
    options |= {"worker_init_fn": _follow_parent, "generator": torch.Generator()}
    iterator = iter(DataLoader(dataset, num_workers=workers, **options))
    try:
        yield from iterator
    finally:
        del iterator  # ends the processes


def _follow_parent(_: int) -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
