"""A run's states on disk: each a folder that is there whole or not at all, from which training goes on bit by bit."""

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
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..storage.atomic import format_bytes
from ..storage.run_lock import run_lock
from .settings import TrainingError, differences

FORMAT = 1
INDEX = "state.json"
_DAMAGED = (FileNotFoundError, SafetensorError, json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError)
_NAME = re.compile(r"step_(\d{8})")

log = logging.getLogger(__name__)


def only_trainer(folder: Path, instead: str = "a new folder") -> AbstractContextManager[None]:
    """The lock of a run's folder, which must be there. Raises RunBusy where another process trains in it."""
    return run_lock(folder, f"{folder} is trained in by {{holder}}: wait until it is finished, or give {instead}")


@dataclass(frozen=True)
class State:
    """step: how many are done; files: tensors by name, by file; values: plain numbers beside them."""

    step: int
    files: Mapping[str, Mapping[str, Tensor]]
    values: Mapping[str, Any]


class States:
    """The states of one run. identity: all that decides its outcome, as JSON holds it."""

    def __init__(self, folder: str | os.PathLike, identity: Mapping[str, Any], kept: int):
        self.folder, self.kept = Path(folder), kept
        self.identity: dict[str, Any] = json.loads(json.dumps(identity))

    def newest(self) -> State | None:
        """The state to go on from, or None for a new run.

        Raises TrainingError where it is another run's, saying what differs, and where all are damaged; OSError where
        one cannot be reached at the moment, and may be whole. A damaged state is passed over with a warning, for the
        one before.
        """
        folders = self._folders()
        for folder in reversed(folders):
            try:
                index = json.loads((folder / INDEX).read_text())
                if index["format"] != FORMAT:
                    raise TrainingError(f"{folder} is of another version: give a new folder")
                self._check(index["identity"])
                files = {name: load_file(folder / name) for name in index["files"]}
                return State(index["step"], files, index["values"])
            except _DAMAGED as error:
                log.warning(f"{folder} is passed over, since it is damaged ({error})")
        if folders:
            raise TrainingError(f"no state in {self.folder} can be read: restore one, or give a new folder")
        return None

    def _check(self, identity: Mapping[str, Any]) -> None:
        found = differences(identity, self.identity)
        if found:
            raise TrainingError(
                f"{self.folder.parent} holds a run of another configuration ({'; '.join(found[:5])}): "
                "repeat the command it was begun with, or give a new folder"
            )

    def save(self, state: State, metadata: Mapping[str, Mapping[str, str]]) -> Path:
        """Write a state, and remove all but the newest. metadata: of the files. Raises OSError on a full disk."""
        folder = self.folder / f"step_{state.step:08d}"
        part = folder.with_name(f".{folder.name}.part")
        try:
            for damaged in (path for path in self._folders() if path.name >= folder.name):  # as newest() has seen
                shutil.rmtree(damaged)
            self._write(part, state, metadata)
            os.replace(part, folder)
            _to_disk(self.folder)
        except (OSError, SafetensorError) as error:
            shutil.rmtree(part, ignore_errors=True)
            raise OSError(
                f"the state of step {state.step} could not be written to {self.folder} ({error}): make room and repeat "
                f"the command, which goes on from {self._newest_name()}"
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
            raise OSError(f"{format_bytes(needed)} are needed, {format_bytes(free)} are free")
        for name, tensors in state.files.items():
            plain = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
            save_file(plain, part / name, metadata={"format": "pt", **metadata.get(name, {})})
            _to_disk(part / name)
        index = {"format": FORMAT, "step": state.step, "identity": self.identity, "values": dict(state.values)}
        (part / INDEX).write_text(json.dumps(index | {"files": sorted(state.files)}, indent=2))
        _to_disk(part / INDEX)

    def _folders(self) -> list[Path]:
        """From the oldest to the newest."""
        if not self.folder.is_dir():
            return []
        return sorted(path for path in self.folder.iterdir() if _NAME.fullmatch(path.name))

    def _newest_name(self) -> str:
        folders = self._folders()
        return folders[-1].name if folders else "the beginning"


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, survive a power cut."""
    if os.name == "nt" and path.is_dir():
        return  # Windows knows no such thing for folders
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
