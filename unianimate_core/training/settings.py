"""What decides the outcome of a training run, and what only decides how it is carried out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

Precision = Literal["fp32", "bf16", "fp16"]
Weighting = Literal["v", "min_snr", "x0"]
PRECISIONS = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}
WEIGHTINGS = ("v", "min_snr", "x0")
PARTS = ("all", "temporal")
OPTIMIZERS = ("adamw", "muon")


class TrainingError(ValueError):
    """Training cannot go on, for a reason that is the user's to put right."""


@dataclass(frozen=True)
class TrainingSettings:
    """What decides the outcome; the defaults are the paper's (sections 3.2 and 4.1) where it says something.

    width, height: pixels. frames: lengths of clips, one of which is drawn for each step; largest_stride: a clip takes
    every n-th frame of its video, with n drawn from 1 to this. batch: clips a step, over all processes together.
    optimizer: see optimizers/groups.py; rate: reached after warm_up steps; weight_decay: AdamW's; gradient_clip:
    largest norm of a gradient, 0 for any.
    weighting: of the squared error of v, see loss.py; min_snr: its bound. offset_noise: see diffusion.starting_noise.
    condition_drop: chance of each condition to be dropped, by itself, and first_frame_drop of the first frame;
    all_dropped, all_kept: share of clips that are shown none, or all. ema_decay: of the mean of the weights, 0 for
    none. dropout: in residual blocks. part: of the network that is trained, "all" or its "temporal" modules.
    lora_rank: 0 trains the weights themselves, more trains a LoRA of this rank instead.
    """

    width: int = 512
    height: int = 768
    frames: tuple[int, ...] = (16, 32)
    largest_stride: int = 4
    batch: int = 8
    optimizer: Literal["adamw", "muon"] = "adamw"
    rate: float = 5e-5
    warm_up: int = 0
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    weighting: Weighting = "v"
    min_snr: float = 5.0
    offset_noise: float = 0.1
    condition_drop: float = 0.5
    first_frame_drop: float = 0.5
    all_dropped: float = 0.1
    all_kept: float = 0.1
    ema_decay: float = 0.9999
    dropout: float = 0.1
    part: Literal["all", "temporal"] = "all"
    lora_rank: int = 0
    precision: Precision = "bf16"
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "frames", tuple(self.frames))
        for name in ("width", "height"):
            size = getattr(self, name)
            if size < 64 or size % 64:
                raise TrainingError(f"{name} is {size} pixels: give a multiple of 64")
        if not self.frames or min(self.frames) < 1:
            raise TrainingError(f"frames is {self.frames}: give at least one length, of 1 frame or more")
        for name, least in (("largest_stride", 1), ("batch", 1), ("warm_up", 0), ("lora_rank", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise TrainingError(f"{name} is {getattr(self, name)}: give {least} or more")
        for name in ("rate", "min_snr"):
            if not 0 < getattr(self, name) < math.inf:
                raise TrainingError(f"{name} is {getattr(self, name)}: give a number above 0")
        for name in ("weight_decay", "gradient_clip", "offset_noise"):
            if not 0 <= getattr(self, name) < math.inf:
                raise TrainingError(f"{name} is {getattr(self, name)}: give 0 or more")
        for name in ("condition_drop", "first_frame_drop", "all_dropped", "all_kept"):
            if not 0 <= getattr(self, name) <= 1:
                raise TrainingError(f"{name} is {getattr(self, name)}: give a share from 0 to 1")
        if self.all_dropped + self.all_kept > 1:
            raise TrainingError(
                f"all_dropped {self.all_dropped} and all_kept {self.all_kept} are more than all clips: lower one"
            )
        for name in ("ema_decay", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise TrainingError(f"{name} is {getattr(self, name)}: give 0 or more, below 1")
        choices = {"weighting": WEIGHTINGS, "precision": tuple(PRECISIONS), "part": PARTS, "optimizer": OPTIMIZERS}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise TrainingError(f"{name} is {getattr(self, name)!r}: choose one of {', '.join(known)}")
        if self.optimizer == "muon" and self.precision == "fp16":  # two optimizers, and one scaler of their gradients
            raise TrainingError("optimizer muon does not train in precision fp16: choose bf16 or fp32, or adamw")

    @property
    def longest(self) -> int:
        return max(self.frames)

    def plain(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}


@dataclass(frozen=True)
class RunSettings:
    """How a run is carried out, which may change each time it is continued.

    steps: where it ends; cool_down: over which share of the steps, the last ones, the rate falls to 0. A run that is
    continued beyond its end goes on at the full rate. clips_at_once: in one pass of one process, 0 for as many as the
    batch holds. save_every, validate_every: steps; kept_states: how many of the newest stay. validation_clips, each of
    validation_frames, made in validation_steps of DDIM with guidance. workers: processes that prepare and read data.
    gradient_checkpointing computes activations twice instead of keeping them.
    """

    steps: int
    cool_down: float = 0.0
    clips_at_once: int = 0
    save_every: int = 500
    kept_states: int = 2
    validate_every: int = 2000
    validation_clips: int = 4
    validation_frames: int = 16
    validation_steps: int = 30
    guidance: float = 2.5
    workers: int = 2
    gradient_checkpointing: bool = False

    def __post_init__(self) -> None:
        least = {"steps": 1, "save_every": 1, "kept_states": 1, "validate_every": 1, "validation_steps": 1}
        least |= {"clips_at_once": 0, "validation_clips": 0, "validation_frames": 1, "workers": 0}
        for name, smallest in least.items():
            if getattr(self, name) < smallest:
                raise TrainingError(f"{name} is {getattr(self, name)}: give {smallest} or more")
        if not 0 <= self.cool_down <= 1:
            raise TrainingError(f"cool_down is {self.cool_down}: give a share of the steps, from 0 to 1")

    def passes(self, batch: int, processes: int) -> tuple[int, int]:
        """(clips a pass, passes a step) of each process. Raises TrainingError where a batch cannot be shared evenly."""
        share, left_over = divmod(batch, processes)
        if left_over or not share:
            raise TrainingError(f"a batch of {batch} cannot be shared by {processes} processes: give a multiple")
        at_once = min(self.clips_at_once or share, share)
        if share % at_once:
            raise TrainingError(f"clips_at_once {at_once} does not divide the {share} clips of each process")
        return at_once, share // at_once


def rate_factor(step: int, warm_up: int, run: RunSettings) -> float:
    """What the rate is multiplied by at a step, counted from 0: a line up, 1, and a line down to 0 at the end."""
    rising = (step + 1) / max(warm_up, 1)
    falling = (run.steps - step) / max(run.cool_down * run.steps, 1)
    return min(1.0, rising, falling)


def differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """One phrase for each entry of nested mappings that is not the same."""
    found = []
    for name in sorted({*before, *now}):
        old, new = before.get(name, "absent"), now.get(name, "absent")
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(f"{prefix}{name} was {_shown(old)} and is {_shown(new)}")
    return found


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
