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
"""That ask a run to stop: Ctrl-C, a scheduler, and a closed terminal, which Windows does not tell of."""

_PR_SET_PDEATHSIG = 1


def loaded(dataset: Any, workers: int, **options: Any) -> Generator[Any]:
    """What a DataLoader gives. Its processes live as long as the run wants them, and no longer; to be closed after use.

    Ctrl-C, a closed terminal and many a scheduler signal all processes of a run: the run then ends its step, for which
    it needs the data. And of a killed run no process stays behind, waiting for somebody to take what it has read.
    (Where the system is not Linux, PyTorch's own watch has to do, which takes seconds and does not see every case.)
    """
    # A generator of its own: else the seed it draws for its processes would be taken from the network's dropout.
    options |= {"worker_init_fn": _follow_parent, "generator": torch.Generator()}
    iterator = iter(DataLoader(dataset, num_workers=workers, **options))
    try:
        yield from iterator
    finally:
        del iterator  # ends its processes, which the end of the program would not: they ignore signals


def _follow_parent(_: int) -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
