"""Being asked to stop: the first signal lets a step end and its state be written, the second ends at once.

Of a closed terminal both the shell and the system may tell: its signal never ends at once.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from ..data.workers import STOP_SIGNALS

_HANGUP = getattr(signal, "SIGHUP", None)


class Interruption:
    """Within a `with` block, notes in `asked` that a signal asks to stop."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():  # others may not set handlers
            for number in STOP_SIGNALS:
                if number == _HANGUP and signal.getsignal(number) == signal.SIG_IGN:
                    continue  # nohup: the run is to outlive its terminal
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked and number != _HANGUP:
            raise KeyboardInterrupt
        self.asked = True
