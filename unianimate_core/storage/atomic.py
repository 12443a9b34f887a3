"""Files that are either whole or absent, whatever interrupts the program that writes them."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_FULL = {errno.ENOSPC, errno.EDQUOT} | ({112} if os.name == "nt" else set())  # 112: ERROR_DISK_FULL


class NoRoom(OSError):
    """The disk is too full for a file. The message is one sentence for the user."""


def format_bytes(count: int) -> str:
    """A number of bytes for people: 3.4 MB, 5.7 GB."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


@contextmanager
def replacing(destination: str | os.PathLike, expected_bytes: int = 0) -> Iterator[Path]:
    """A temporary path beside the destination. When the block ends it replaces the destination; after an error it is
    removed.

    The file is on the disk when this returns, so a power cut cannot leave half of it under the final name.
    Raises NoRoom if the disk has less than expected_bytes free, or fills up while the file is written.
    """
    destination = Path(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    check_room(destination, expected_bytes)
    handle, name = tempfile.mkstemp(dir=destination.parent, prefix=f".{destination.name}.", suffix=".part")
    os.close(handle)
    try:
        with reraise_disk_full(destination):
            yield Path(name)
            _flush_file(name)
        os.chmod(name, 0o644)
        try:
            os.replace(name, destination)
        except PermissionError as error:
            raise PermissionError(
                f"{destination} cannot be replaced: close the program that uses it, or choose another name"
            ) from error
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _flush_folder(destination.parent)


def check_room(destination: str | os.PathLike, expected_bytes: int) -> None:
    """Raises NoRoom if the disk of the destination has less than expected_bytes free. Its folder may be missing."""
    destination = Path(destination)
    folder = next((parent for parent in destination.absolute().parents if parent.is_dir()), destination.parent)
    free = shutil.disk_usage(folder).free
    if free < expected_bytes:
        raise NoRoom(
            f"{destination.parent} has {format_bytes(free)} free, {destination.name} needs "
            f"{format_bytes(expected_bytes)}: make room or choose another folder"
        )


@contextmanager
def reraise_disk_full(destination: Path) -> Iterator[None]:
    """Raises NoRoom, which names the destination, in place of the system's error for a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise NoRoom(f"{destination} could not be written, since its disk is full: make room and try again") from error


def _flush_file(path: str) -> None:
    """Write the system's buffers of a file to the disk."""
    with open(path, "r+b") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Write a folder's list of names to the disk, on systems that can do so."""
    if os.name == "nt":
        return
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
