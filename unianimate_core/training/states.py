"""States of a run on disk, from which training continues bit for bit. Each is a folder that is whole or absent."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..storage.atomic import NoRoom, format_bytes
from ..storage.run_lock import run_lock
from ..storage.safetensors_file import write_safetensors
from .settings import TrainingError, differences

FORMAT = 2
INDEX = "state.json"
_DAMAGED = (FileNotFoundError, SafetensorError, json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError)
_NAME = re.compile(r"step_(\d{8})")

log = logging.getLogger(__name__)


def training_lock(folder: Path, instead: str = "a new folder") -> AbstractContextManager[None]:
    """The lock of a run's folder, which must exist. Raises RunBusy if another process trains in it."""
    return run_lock(folder, f"{folder} is in use by {{holder}}: wait until it ends, or give {instead}")


@dataclass(frozen=True)
class State:
    """step: number of finished steps. files: tensors by name, by file name. values: plain numbers beside them."""

    step: int
    files: Mapping[str, Mapping[str, Tensor]]
    values: Mapping[str, Any]


class States:
    """The states of one run. identity: everything that decides its outcome, as JSON."""

    def __init__(self, folder: str | os.PathLike, identity: Mapping[str, Any], kept: int):
        self.folder, self.kept = Path(folder), kept
        self.identity: dict[str, Any] = json.loads(json.dumps(identity))

    def newest(self) -> State | None:
        """The state to continue from, or None for a new run.

        Skips a damaged state with a warning and returns the one before it. Raises TrainingError if the states belong
        to another run, and names the differences, or if all are damaged. Raises OSError if a state cannot be reached,
        since it may be whole.
        """
        folders = self._folders()
        for folder in reversed(folders):
            try:
                index = json.loads((folder / INDEX).read_text())
                if index["format"] != FORMAT:
                    raise TrainingError(f"{folder} was written by another version of this pack: give a new folder")
                self._check(index["identity"])
                files = {name: load_file(folder / name) for name in index["files"]}
                return State(index["step"], files, index["values"])
            except _DAMAGED as error:
                log.warning("skipped %s, which is damaged (%s)", folder, error)
        if folders:
            raise TrainingError(f"every state in {self.folder} is damaged: restore one, or give a new folder")
        return None

    def _check(self, identity: Mapping[str, Any]) -> None:
        found = differences(identity, self.identity)
        if found:
            raise TrainingError(
                f"{self.folder.parent} holds a run with another configuration ({'; '.join(found[:5])}): "
                "give what the run began with, or a new folder"
            )

    def save(self, state: State, metadata: Mapping[str, Mapping[str, str]]) -> Path:
        """Write a state and remove all but the newest ones. metadata: by file name.

        Raises OSError if the disk is full or cannot be written; the states before it stay.
        """
        folder = self.folder / f"step_{state.step:08d}"
        part = folder.with_name(f".{folder.name}.part")
        try:
            # Later states are damaged, or newest() would have returned one of them.
            for damaged in (path for path in self._folders() if path.name >= folder.name):
                shutil.rmtree(damaged)
            self._write(part, state, metadata)
            os.replace(part, folder)
            _flush(self.folder)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(part, ignore_errors=True)
            reason = error.__cause__ if isinstance(error, NoRoom) and error.__cause__ else error
            raise OSError(
                f"the state of step {state.step} could not be written to {self.folder} ({reason}): make room and "
                f"repeat the command, which continues from {self._newest_name()}"
            ) from error
        for old in self._folders()[: -self.kept]:
            shutil.rmtree(old, ignore_errors=True)
        return folder

    def _write(self, part: Path, state: State, metadata: Mapping[str, Mapping[str, str]]) -> None:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        needed = sum(tensor.nbytes for tensors in state.files.values() for tensor in tensors.values())
        free = shutil.disk_usage(part).free
        if free < needed:
            raise OSError(f"it needs {format_bytes(needed)}, {format_bytes(free)} are free")
        for name, tensors in state.files.items():
            write_safetensors(part / name, tensors, metadata.get(name))
        index = {"format": FORMAT, "step": state.step, "identity": self.identity, "values": dict(state.values)}
        (part / INDEX).write_text(json.dumps(index | {"files": sorted(state.files)}, indent=2))
        _flush(part / INDEX)

    def _folders(self) -> list[Path]:
        """From the oldest to the newest."""
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))

    def _newest_name(self) -> str:
        folders = self._folders()
        return folders[-1].name if folders else "the beginning"


def _flush(path: Path) -> None:
    """Return once a file, or the names in a folder, would survive a power cut."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot flush a folder
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
