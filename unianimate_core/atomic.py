"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(destination: str | os.PathLike, expected_bytes: int = 0) -> Iterator[Path]:
    """A temporary path beside the destination, moved there at the end, or removed where something fails.

    Raises OSError in one sentence where the disk has not expected_bytes free.
    """
    destination = Path(destination)
    destination.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(destination.parent).free
    if free < expected_bytes:
        raise OSError(
            f"{destination.parent} has {free / 1e9:.1f} GB free, "
            f"{destination.name} needs {expected_bytes / 1e9:.1f} GB: "
            "make room or choose another folder"
        )
    handle, name = tempfile.mkstemp(dir=destination.parent, prefix=f".{destination.name}.", suffix=".part")
    os.close(handle)
    try:
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
