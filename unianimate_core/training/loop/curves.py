"""Curves of a run: TensorBoard's files, and the same numbers as lines of JSON."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...diffusion import TIMESTEPS
from ...optional import require
from ...storage.atomic import replacing, reraise_disk_full

EVERY = 10  # steps
LINES = "curves.jsonl"
VALIDATION = "validation/"  # prefix of its curves
BANDS = 4  # of timesteps, each with its own curve


def require_tensorboard() -> Any:
    """torch.utils.tensorboard. Raises ImportError if TensorBoard is not installed."""
    return require("torch.utils.tensorboard", "training", package="tensorboard", extra="training")


class Curves:
    """A context manager that writes curves to a folder; does nothing unless enabled.

    If an earlier run was cut off, its points after first_step are removed.
    """

    def __init__(self, folder: Path, first_step: int, *, enabled: bool):
        self.enabled = enabled
        self.smooth_loss = 0.0
        self._losses: dict[str, list[float]] = defaultdict(list)
        self._clips, self._since = 0, time.perf_counter()
        if enabled:
            folder.mkdir(parents=True, exist_ok=True)
            self._writer: Any = require_tensorboard().SummaryWriter(str(folder), purge_step=first_step + 1)
            self._lines = folder / LINES
            _remove_after(self._lines, first_step)

    def __enter__(self) -> Curves:
        return self

    def __exit__(self, *_: object) -> None:
        if self.enabled:
            self._writer.close()

    def add_losses(self, t: Tensor, losses: Tensor) -> None:
        """Timesteps and losses of the clips of one pass: b each."""
        for timestep, loss in zip(t.tolist(), losses.detach().tolist(), strict=True):
            band = timestep * BANDS // TIMESTEPS
            self._losses[f"loss/timesteps {band * TIMESTEPS // BANDS}"].append(loss)

    def add_step(self, step: int, loss: float, norm: float, learning_rate: float, clips: int) -> None:
        """Add a finished step, and every few steps write the means since the last point. clips: of this step."""
        self.smooth_loss = loss if self.smooth_loss == 0 else 0.98 * self.smooth_loss + 0.02 * loss
        self._losses["loss/all"].append(loss)
        self._clips += clips
        if step % EVERY:
            return
        seconds = time.perf_counter() - self._since
        values = {name: sum(losses) / len(losses) for name, losses in self._losses.items()}
        values |= {"gradient norm": norm, "learning rate": learning_rate, "clips a second": self._clips / seconds}
        self._write(step, values)
        self._losses.clear()
        self._clips, self._since = 0, time.perf_counter()

    def exclude_time(self, seconds: float) -> None:
        """Leave out time that was not spent on training from the clips per second."""
        self._since += seconds

    def add_validation(self, step: int, results: dict[str, float]) -> None:
        if results:
            self._write(step, {f"{VALIDATION}{name}": value for name, value in results.items()})

    def _write(self, step: int, values: dict[str, float]) -> None:
        if not self.enabled:
            return
        with reraise_disk_full(self._lines):
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
            if torch.cuda.is_available():
                values = values | {"GPU memory in GB": torch.cuda.max_memory_allocated() / 1e9}
            rounded = {name: float(f"{value:.6g}") for name, value in values.items()}
            with self._lines.open("a") as file:
                file.write(json.dumps({"step": step, **rounded}) + "\n")


def read_curves(path: Path) -> list[dict[str, float]]:
    """The lines of curves.jsonl, each with its step. Skips lines that a kill or a full disk cut off."""
    lines = []
    for line in path.read_text(errors="replace").splitlines():
        with suppress(json.JSONDecodeError):
            lines.append(json.loads(line))
    return lines


def is_validated(folder: Path, step: int) -> bool:
    """Whether the curves in a folder hold the results of a validation after a step."""
    lines = read_curves(folder / LINES) if (folder / LINES).is_file() else []
    return any(name.startswith(VALIDATION) for line in lines if line["step"] == step for name in line)


def _remove_after(path: Path, step: int) -> None:
    if not path.is_file():
        return
    kept = [line for line in read_curves(path) if line["step"] <= step]
    with replacing(path) as part:
        part.write_text("".join(f"{json.dumps(line)}\n" for line in kept))
