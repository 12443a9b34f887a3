"""A lock on a folder, for one process at a time. The system releases it when the process that holds it dies."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

LOCK_NAME = "lock"
_LOCKED_BYTE = 1 << 20  # beyond the text, so that Windows lets other processes read that


class RunBusy(ValueError):
    """Another process holds the lock of a folder. The message is one sentence for the user."""


BUSY = "{folder} is in use by {holder}: wait until that process ends"


@contextmanager
def run_lock(folder: Path, busy: str = BUSY) -> Iterator[None]:
    """Hold the lock of a folder. Raises RunBusy at once if another process holds it: waiting could take hours.

    busy: the message of RunBusy, in which {folder} and {holder} are replaced.
    The lock's file stays in the folder. It contains the process and the time for people to read; only the system's
    lock on it counts. After a crash or a power cut the next run takes the lock.
    """
    path = folder / LOCK_NAME
    file = _opened(path)
    _held.add(file)
    try:
        while (held := _try_lock(file)) and os.fstat(file.fileno()).st_nlink == 0:  # deleted before it was locked
            _held.discard(file)
            file.close()
            file = _opened(path)
            _held.add(file)
        if not held:
            raise RunBusy(busy.replace("{folder}", str(folder)).replace("{holder}", _holder(path)))
        with suppress(OSError):  # on a full disk the lock still works
            file.seek(0)
            file.truncate()
            file.write(f"process {os.getpid()} since {time.strftime('%Y-%m-%d %H:%M:%S')}".encode())
        yield
    finally:
        _held.discard(file)
        file.close()  # which releases the lock


_held: set[Any] = set()


def _close_in_child() -> None:
    """A forked process, such as one that reads data, must not keep the lock alive after its parent is killed."""
    for file in _held:
        file.close()
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)


def _opened(path: Path) -> Any:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return open(path, "r+b", buffering=0, opener=_create)
        except FileNotFoundError:
            continue  # the folder was deleted after mkdir


def _create(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT, 0o644)


def _try_lock(file: Any) -> bool:
    """Lock the file if it is free. Returns whether it is locked now."""
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
    """The process that the lock's file names."""
    try:
        return path.read_text(errors="replace")[:100] or "another process"
    except OSError:
        return "another process"
