"""Settings of a training: those that decide its outcome, and those that only decide how it is carried out."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch

from ..precision import DTYPES, Precision, cpu_has_bf16

Weighting = Literal["v", "min_snr", "x0"]
CHOICES = {
    "weighting": ("v", "min_snr", "x0"),
    "part": ("all", "temporal"),
    "optimizer": ("adamw", "muon"),
    "precision": ("auto", *DTYPES),
}

log = logging.getLogger(__name__)


class TrainingError(ValueError):
    """Training cannot continue, for a reason that the user can fix."""


@dataclass(frozen=True)
class TrainingSettings:
    """The settings that decide the outcome. Defaults are the paper's (sections 3.2 and 4.1) where it gives one.

    width, height: pixels, multiples of 64.
    frames: clip lengths; each step draws one of them.
    largest_stride: a clip takes every n-th frame of its video, with n drawn from 1 to this.
    batch: clips per step, over all processes together.
    optimizer: see optimizers/groups.py.
    learning_rate: the value after warm_up steps. weight_decay: AdamW's.
    gradient_clip: largest norm of the gradient; 0 allows any.
    weighting: of the squared error of v, see loss.py. min_snr: its bound.
    offset_noise: see diffusion.starting_noise.
    condition_drop: chance of dropping each condition; first_frame_drop: the same for the first frame.
    all_dropped, all_kept: share of clips that get no condition, or every one.
    ema_decay: of the EMA of the weights; 0 turns it off.
    dropout: in residual blocks.
    part: train "all" of the network or only its "temporal" modules.
    lora_rank: 0 trains the weights themselves; a larger number trains a LoRA of this rank instead.
    precision: of the forward and backward pass; "auto" depends on the device, see training_precision.
    """

    width: int = 512
    height: int = 768
    frames: tuple[int, ...] = (16, 32)
    largest_stride: int = 4
    batch: int = 8
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 5e-5
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
    precision: Precision = "auto"
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
        for name in ("learning_rate", "min_snr"):
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
                f"all_dropped {self.all_dropped} and all_kept {self.all_kept} add up to more than 1: lower one"
            )
        for name in ("ema_decay", "dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise TrainingError(f"{name} is {getattr(self, name)}: give 0 or more, below 1")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise TrainingError(f"{name} is {getattr(self, name)!r}: choose one of {', '.join(choices)}")
        if self.optimizer == "muon" and self.precision == "fp16":  # two optimizers, but one gradient scaler
            raise TrainingError("optimizer muon does not train in precision fp16: choose bf16 or fp32, or adamw")

    @property
    def max_frames(self) -> int:
        return max(self.frames)

    def with_precision_for(self, device: torch.device | str) -> TrainingSettings:
        """The same settings, with the precision that "auto" means on a device."""
        return replace(self, precision=training_precision(self.precision, device))

    def as_json(self) -> dict[str, Any]:
        """Values by name, as JSON gives them back: lists, not tuples."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def training_precision(precision: str, device: torch.device | str) -> str:
    """fp32, bf16 or fp16. "auto" is bf16 on a GPU and on a CPU with bf16 units, else fp32.

    Training takes bf16 where sampling takes fp16, since gradients leave fp16's range. On a CPU without bf16 units,
    bf16 is about six times slower than fp32.
    """
    if precision != "auto":
        return precision
    return "bf16" if torch.device(device).type != "cpu" or cpu_has_bf16() else "fp32"


def log_precision(precision: str, device: torch.device | str) -> None:
    """Log the precision of a training, which "auto" may have chosen. Call it once, in the main process."""
    slow = torch.device(device).type == "cpu" and not cpu_has_bf16()
    log.info("training in %s on %s%s", precision, device, ", which has no bf16 units" if slow else "")


@dataclass(frozen=True)
class RunSettings:
    """The settings that only decide how a run is carried out. They may change each time the run continues.

    steps: the step at which the run ends.
    cool_down: the share of the steps, the last ones, over which the learning rate falls to 0. A finished run that
    continues with more steps does so at the full learning rate.
    clips_at_once: clips per pass of one process; 0 takes all of its share of the batch.
    save_every, validate_every: steps between two states, and between two validations.
    kept_states: number of newest states to keep.
    validation_clips: clips per validation, each of validation_frames frames, sampled in validation_steps DDIM steps
    with guidance_scale.
    workers: processes that prepare and read data.
    gradient_checkpointing: compute activations twice instead of storing them.
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
    guidance_scale: float = 2.5
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

    def split_batch(self, batch: int, processes: int) -> tuple[int, int]:
        """(clips per pass, passes per step) of each process. Raises TrainingError if they cannot be equal shares."""
        share, left_over = divmod(batch, processes)
        if left_over or not share:
            raise TrainingError(f"a batch of {batch} cannot be shared by {processes} processes: give a multiple")
        at_once = min(self.clips_at_once or share, share)
        if share % at_once:
            raise TrainingError(f"clips_at_once {at_once} does not divide the {share} clips of each process")
        return at_once, share // at_once


def learning_rate_factor(step: int, warm_up: int, run: RunSettings) -> float:
    """The factor on the learning rate at a step, counted from 0: a line up to 1, then 1, then a line down to 0."""
    rising = (step + 1) / max(warm_up, 1)
    falling = (run.steps - step) / max(run.cool_down * run.steps, 1)
    return min(1.0, rising, falling)


def differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """One phrase for each entry that differs between two nested mappings."""
    found = []
    for name in sorted({*before, *now}):
        old, new = before.get(name, "absent"), now.get(name, "absent")
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{prefix}{name}.")
        elif old != new:
            found.append(f"{prefix}{name} was {_shortened(old)} and is {_shortened(new)}")
    return found


def _shortened(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
