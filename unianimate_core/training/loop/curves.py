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
from ...storage.atomic import replacing, reraise_disk_full

EVERY = 10  # steps
LINES = "curves.jsonl"
VALIDATION = "validation/"  # before the names of its results
BANDS = 4  # of timesteps, each with a curve of its own


class Curves:
    """Used as a context; without effect unless enabled. Points of steps after first_step, of a run cut off, go."""

    def __init__(self, folder: Path, first_step: int, *, enabled: bool):
        self.enabled = enabled
        self.smooth_loss = 0.0
        self._losses: dict[str, list[float]] = defaultdict(list)
        self._clips, self._since = 0, time.perf_counter()
        if enabled:
            from torch.utils.tensorboard.writer import SummaryWriter

            folder.mkdir(parents=True, exist_ok=True)
            self._writer: Any = SummaryWriter(str(folder), purge_step=first_step + 1)
            self._lines = folder / LINES
            _drop_after(self._lines, first_step)

    def __enter__(self) -> Curves:
        return self

    def __exit__(self, *_: object) -> None:
        if self.enabled:
            self._writer.close()

    def add_losses(self, t: Tensor, losses: Tensor) -> None:
        """Of the clips of a pass: b each."""
        for timestep, loss in zip(t.tolist(), losses.detach().tolist(), strict=True):
            band = timestep * BANDS // TIMESTEPS
            self._losses[f"loss/timesteps {band * TIMESTEPS // BANDS}"].append(loss)

    def add_step(self, step: int, loss: float, norm: float, rate: float, clips: int) -> None:
        self.smooth_loss = loss if self.smooth_loss == 0 else 0.98 * self.smooth_loss + 0.02 * loss
        self._losses["loss/all"].append(loss)
        self._clips += clips
        if step % EVERY:
            return
        seconds = time.perf_counter() - self._since
        means = {name: sum(values) / len(values) for name, values in self._losses.items()}
        self._write(step, means | {"gradient norm": norm, "rate": rate, "clips a second": self._clips / seconds})
        self._losses.clear()
        self._clips, self._since = 0, time.perf_counter()

    def pause(self, seconds: float) -> None:
        """Time that was not training."""
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
    """The lines of curves.jsonl, each with its step, but for those that a kill or a full disk cut off."""
    lines = []
    for line in path.read_text(errors="replace").splitlines():
        with suppress(json.JSONDecodeError):
            lines.append(json.loads(line))
    return lines


def is_validated(folder: Path, step: int) -> bool:
    """Whether the curves hold results of a validation after a step."""
    lines = read_curves(folder / LINES) if (folder / LINES).is_file() else []
    return any(name.startswith(VALIDATION) for line in lines if line["step"] == step for name in line)


def _drop_after(path: Path, step: int) -> None:
    if not path.is_file():
        return
    kept = [line for line in read_curves(path) if line["step"] <= step]
    with replacing(path) as part:
        part.write_text("".join(f"{json.dumps(line)}\n" for line in kept))
