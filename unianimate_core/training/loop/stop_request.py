"""Stopping a run by a signal: the first lets the step end and its state be saved, the second stops at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from ..data.workers import STOP_SIGNALS

_HANGUP = getattr(signal, "SIGHUP", None)


class StopRequest:
    """Within a `with` block, `requested` becomes True at the first signal; the second raises KeyboardInterrupt.

    A closed terminal never stops at once, since the shell and the system may both send its signal.
    """

    def __init__(self) -> None:
        self.requested = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():  # other threads may not set handlers
            for number in STOP_SIGNALS:
                if number == _HANGUP and signal.getsignal(number) == signal.SIG_IGN:
                    continue  # nohup: the run outlives its terminal
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested and number != _HANGUP:
            raise KeyboardInterrupt
        self.requested = True
