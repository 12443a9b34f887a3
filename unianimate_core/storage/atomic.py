"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

_FULL = {errno.ENOSPC, errno.EDQUOT} | ({112} if os.name == "nt" else set())  # 112: ERROR_DISK_FULL
_NUMBER = re.compile(r"(?:os error |code: )(\d+)")  # of an error of the system's, in a message of safetensors


class NoRoom(OSError):
    """The disk is too full for a file; the message is one sentence for the user."""


def size(count: int) -> str:
    """Bytes for people: 3.4 MB, 5.7 GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


@contextmanager
def replacing(destination: str | os.PathLike, expected_bytes: int = 0) -> Iterator[Path]:
    """A temporary path beside the destination, moved there at the end, or removed where something fails.

    Raises NoRoom where the disk has not expected_bytes free, or is full before the file is whole.
    """
    destination = Path(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(destination.parent).free
    if free < expected_bytes:
        raise NoRoom(
            f"{destination.parent} has {size(free)} free, {destination.name} needs {size(expected_bytes)}: "
            "make room or choose another folder"
        )
    handle, name = tempfile.mkstemp(dir=destination.parent, prefix=f".{destination.name}.", suffix=".part")
    os.close(handle)
    try:
        with telling_a_full_disk(destination):
            yield Path(name)
        os.chmod(name, 0o644)
        try:
            os.replace(name, destination)
        except PermissionError as error:
            raise PermissionError(
                f"{destination} is in use or may not be replaced: close what uses it, or choose another name"
            ) from error
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _keep_name(destination.parent)


@contextmanager
def telling_a_full_disk(destination: Path) -> Iterator[None]:
    """Raises NoRoom for what a full disk raises while destination is written."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        if not _is_full(error):
            raise
        raise NoRoom(f"{destination} could not be written, since its disk is full: make room and try again") from error


def _is_full(error: OSError | SafetensorError) -> bool:
    if isinstance(error, OSError):
        return error.errno in _FULL
    number = _NUMBER.search(str(error))
    return number is not None and int(number[1]) in _FULL


def _keep_name(folder: Path) -> None:
    """After a power cut the file is there under its new name; where a system cannot promise that, it may be missing."""
    if os.name == "nt":
        return
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
