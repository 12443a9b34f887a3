"""Finished segments of long videos on disk, so that a run that was cut off goes on where it stopped.

One folder a run, named by a hash of what the run starts from, and in it one file a segment, named by its number and
its key. Keys form a chain: each is a hash of what determines its segment and of the key before, so that a changed
input finds all segments before the change. A file is written whole or not at all, and is trusted only if its format,
its key and the hash of its content are right.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..storage.atomic import NoRoom, format_bytes
from ..storage.content_hash import content_hash
from ..storage.run_lock import LOCK_NAME, RunBusy, run_lock
from ..storage.safetensors_file import write_safetensors

__all__ = ["MAX_AGE_DAYS", "MAX_BYTES", "RunBusy", "SegmentStore", "clean", "open_run", "segment_keys"]

FORMAT = "3"  # raise it also when the same inputs give other latents than before
MAX_AGE_DAYS = 14
MAX_BYTES = 10 * 10**9
_MAKE_ROOM = "make room and run the same graph again, which goes on from the segments that are finished"
_SAME_VIDEO = (
    "the same video is being made by {holder}: wait until it is finished, or change the seed for a video of its own"
)
_DAMAGE = (OSError, SafetensorError, ValueError, KeyError)

log = logging.getLogger(__name__)


def segment_keys(run: str, contents: Iterable[Any]) -> list[str]:
    """The key of each segment, from the hash of the run and what determines each segment beyond it."""
    keys, before = [], run
    for content in contents:
        before = content_hash(before, content)
        keys.append(before)
    return keys


@contextmanager
def open_run(root: str | os.PathLike, run: str) -> Iterator[SegmentStore]:
    """The segments of one run, for one process at a time; the others are cleaned first.

    root: the folder of all runs; run: the run's hash. Raises RunBusy where another process has this run open, and
    OSError in one sentence where nothing can be written.
    """
    folder = Path(root) / run[:32]
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(run_lock(folder, _SAME_VIDEO))
        except OSError as error:
            if error.errno is None:
                raise  # it is a sentence already
            raise OSError(f"{folder} cannot be written ({error.strerror}): {_MAKE_ROOM}") from error
        for half in folder.glob(".*.part"):
            half.unlink(missing_ok=True)
        clean(root, keep=folder)
        yield SegmentStore(folder)


class Store(Protocol):
    """Keeps the tensors of segments by number and key."""

    def load(self, index: int, key: str, /) -> dict[str, Tensor] | None: ...

    def save(self, index: int, key: str, tensors: Mapping[str, Tensor], /) -> None: ...


class NoStore:
    """Keeps nothing, for a long video that need not be resumed."""

    def load(self, index: int, key: str) -> dict[str, Tensor] | None:
        return None

    def save(self, index: int, key: str, tensors: Mapping[str, Tensor]) -> None:
        pass


class SegmentStore:
    """The folder of one run; made by open_run."""

    def __init__(self, folder: Path):
        self.folder = folder

    def load(self, index: int, key: str) -> dict[str, Tensor] | None:
        """The tensors of a segment, or None where it is not there or, after a warning, not to be trusted."""
        path = self._path(index, key)
        if not path.exists():
            return None
        try:
            return _read(path, key)
        except _DAMAGE as error:
            log.warning(f"{path} is ignored: {error}; segment {index} is computed again")
            return None

    def save(self, index: int, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Write a segment, in place of one of the same number. Raises OSError in one sentence where it cannot be."""
        path = self._path(index, key)
        try:
            write_safetensors(path, tensors, {"format": FORMAT, "key": key, "content": content_hash(tensors)})
        except OSError as error:
            reason = "the disk is full" if isinstance(error, NoRoom) else error.strerror or error
            size = format_bytes(sum(tensor.nbytes for tensor in tensors.values()))
            raise OSError(f"{path} of {size} could not be written ({reason}): {_MAKE_ROOM}") from error
        for other in self.folder.glob(f"{index:05d}_*"):
            if other != path:
                other.unlink(missing_ok=True)

    def _path(self, index: int, key: str) -> Path:
        return self.folder / f"{index:05d}_{key[:32]}.safetensors"


def clean(
    root: str | os.PathLike, *, keep: Path | None = None, max_age_days: float = MAX_AGE_DAYS, max_bytes: int = MAX_BYTES
) -> None:
    """Remove the runs not used for max_age_days, then the longest unused ones until all hold at most max_bytes.

    The defaults are 14 days and 10 GB; a minute of 30 frames a second at 512x768 is 0.5 GB. Runs that are open, and
    keep, stay; so does what is no run.
    """
    runs = [folder for folder in Path(root).iterdir() if (folder / LOCK_NAME).is_file()]
    sizes = {folder: _folder_size(folder) for folder in runs}
    total = sum(sizes.values())
    for folder in sorted(runs, key=_last_use):
        too_old = time.time() - _last_use(folder) > max_age_days * 86400
        if folder == keep or not (too_old or total > max_bytes):
            continue
        try:
            with run_lock(folder):
                shutil.rmtree(folder, ignore_errors=True)
        except RunBusy:
            continue
        except OSError as error:  # another user's, or cleaned by another process
            log.warning(f"{folder} could not be cleaned: {error}")
            continue
        if os.name == "nt":  # which keeps a file, and its folder, while it is locked
            shutil.rmtree(folder, ignore_errors=True)
        total -= sizes[folder]


def _read(path: Path, key: str) -> dict[str, Tensor]:
    """Raises one of _DAMAGE where the file is not what `save` wrote under this key."""
    with safe_open(path, framework="pt") as file:
        stored = file.metadata() or {}
        if stored.get("format") != FORMAT:
            raise ValueError(f"it has format {stored.get('format')}, this version reads {FORMAT}")
        # Copies lie as aligned in memory as what was just computed: products depend on that in their last bits.
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118  (no mapping)
    if stored.get("key") != key or stored.get("content") != content_hash(tensors):
        raise ValueError("its content is damaged")
    return tensors


def _folder_size(folder: Path) -> int:
    """In bytes; 0 where it has gone."""
    try:
        return sum(file.stat().st_size for file in folder.iterdir())
    except FileNotFoundError:
        return 0


def _last_use(folder: Path) -> float:
    """When the run was last opened or written to, in seconds since 1970."""
    try:
        return max((folder / LOCK_NAME).stat().st_mtime, folder.stat().st_mtime)
    except FileNotFoundError:
        return 0.0
