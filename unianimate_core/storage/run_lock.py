"""One process at a time for a folder: a lock that the system itself gives up when its holder dies."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

LOCK_NAME = "lock"
_LOCKED_BYTE = 1 << 20  # beyond the text, which others may then read under Windows too


class RunBusy(ValueError):
    """Another process has the folder locked; the message is one sentence for the user."""


SAME_VIDEO = (
    "the same video is being made by {holder}: wait until it is finished, or change the seed for a video of its own"
)


@contextmanager
def run_lock(folder: Path, busy: str = SAME_VIDEO) -> Iterator[None]:
    """Hold the lock of a folder. Raises RunBusy at once where another holds it: waiting could take hours.

    busy: the sentence that then tells of the {holder}.
    The file, which tells process and time, stays behind. It alone means nothing: after a crash or a power cut nobody
    holds it, and the next run takes it over.
    """
    path = folder / LOCK_NAME
    file = _opened(path)
    _held.add(file)
    try:
        while (held := _try_lock(file)) and os.fstat(file.fileno()).st_nlink == 0:  # cleaned in between
            _held.discard(file)
            file.close()
            file = _opened(path)
            _held.add(file)
        if not held:
            raise RunBusy(busy.replace("{holder}", _holder(path)))
        with suppress(OSError):  # a full disk: the lock is held all the same
            file.seek(0)
            file.truncate()
            file.write(f"process {os.getpid()} since {time.strftime('%Y-%m-%d %H:%M:%S')}".encode())
        yield
    finally:
        _held.discard(file)
        file.close()  # gives up the lock


_held: set[Any] = set()


def _leave_to_parent() -> None:
    """A process that reads data must not keep the lock of one that was killed."""
    for file in _held:
        file.close()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


def _opened(path: Path) -> Any:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return open(path, "r+b", buffering=0, opener=_create)
        except FileNotFoundError:
            continue  # cleaned in between


def _create(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o644)


def _try_lock(file: Any) -> bool:
    """Whether the lock was free, and is now held."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(_LOCKED_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        raise OSError(
            f"{file.name} cannot be locked ({error.strerror}): put {Path(file.name).parent} on a disk that has locks, "
            "such as a local one"
        ) from error
    return True


def _holder(path: Path) -> str:
    try:
        return path.read_text(errors="replace")[:100] or "another process"
    except OSError:
        return "another process"
