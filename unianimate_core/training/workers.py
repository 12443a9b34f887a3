"""Processes that read and draw data."""

from __future__ import annotations

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1


def end_with_parent(_: int) -> None:
    """For worker_init_fn: of a killed run no process stays behind, waiting for somebody to take what it has read.

    Where the system is not Linux, PyTorch's own watch has to do, which takes seconds and does not see every case.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
