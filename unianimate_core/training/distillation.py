"""Blockwise distillation: every temporal module of a student learns what its teacher's does, on the teacher's inputs.

The teacher runs as it samples; each of its temporal modules hands its input and output to the student's module in the
same place, which is trained there and then. The rest of the student is never run, nothing is stored, and gradients stay
within one module.

    optimizer = distillation_optimizer(student, DistillationSettings())
    for losses in distil(teacher, student, calls, optimizer):
        ...
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..model import UNet
from ..model.mamba import FULL_PRECISION
from ..model.temporal import TemporalModule


@dataclass(frozen=True)
class DistillationSettings:
    """AdamW's. Norms, biases, A, D and gates have no weight decay, whatever it is for the rest."""

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01

    def __post_init__(self):
        if not 0 < self.learning_rate < math.inf or not 0 <= self.weight_decay < math.inf:
            raise ValueError(
                f"learning_rate is {self.learning_rate}, weight_decay {self.weight_decay}: "
                "give a positive rate, and 0 or more of decay"
            )


def temporal_modules(unet: UNet) -> dict[str, TemporalModule]:
    """By name, in the order in which the network runs them."""
    return {name: module for name, module in unet.named_modules() if isinstance(module, TemporalModule)}


def distillation_optimizer(student: UNet, settings: DistillationSettings) -> torch.optim.AdamW:
    """Over the student's temporal modules alone, which it makes trainable; everything else is frozen."""
    student.requires_grad_(False)
    modules = temporal_modules(student)
    decayed, others = [], []
    for module in modules.values():
        for name, parameter in module.requires_grad_(True).named_parameters():
            plain = parameter.ndim < 2 or name.rsplit(".", 1)[-1] in FULL_PRECISION
            (others if plain else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas)


def distil(
    teacher: UNet, student: UNet, calls: Iterable[Mapping[str, Any]], optimizer: torch.optim.Optimizer
) -> Iterator[dict[str, float]]:
    """Train the student's temporal modules, one step a call of the teacher, and yield each module's loss.

    calls: keywords of UNet.forward (x, t, text, image, ...), on the teacher's device; the student is on the same, in
    fp32. Loss: mean square of what a module adds to its input against what the teacher's adds, in units of the latter,
    so 1 is a module that adds nothing. All modules count alike.
    Raises ValueError where the two networks differ in more than the inside of their temporal modules, share tensors,
    or where the student or its optimizer is not ready to be trained.
    """
    pairs = _paired(teacher, student)
    _check_trainable(teacher, pairs, optimizer)
    for call in calls:
        optimizer.zero_grad(set_to_none=True)
        losses = _gradients_of_a_call(teacher, pairs, call)
        optimizer.step()
        yield losses


def _gradients_of_a_call(
    teacher: UNet, students: Mapping[str, TemporalModule], call: Mapping[str, Any]
) -> dict[str, float]:
    """Runs the teacher, leaves every student's gradients in its parameters, and gives the losses."""
    losses: dict[str, float] = {}

    def learn(name: str, x: Tensor, frames: int, y: Tensor) -> None:
        x, wanted = x.float(), (y - x).float()
        # PyTorch's group norm on a CPU falls over an input of channels last that needs no gradient (2.11).
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            loss = residual_loss(students[name](x, frames) - x, wanted)
            loss.backward()
        losses[name] = float(loss.detach())

    with torch.no_grad(), listening(teacher, learn):
        teacher(**call)
    return losses


def residual_loss(added: Tensor, wanted: Tensor) -> Tensor:
    """Mean square of the difference, in units of the mean square of what is wanted."""
    return (added - wanted).square().mean() / wanted.square().mean().clamp(min=1e-12)


def _paired(teacher: UNet, student: UNet) -> dict[str, TemporalModule]:
    """The student's module for each of the teacher's, by name."""
    theirs, ours = temporal_modules(teacher), temporal_modules(student)
    shapes = {name: module.proj_in.weight.shape for name, module in theirs.items()}
    if shapes != {name: module.proj_in.weight.shape for name, module in ours.items()}:
        raise ValueError(
            "teacher and student have temporal modules of other number or width: make the student from the teacher "
            "with python -m unianimate_core to-mamba"
        )
    return ours


def _check_trainable(teacher: UNet, students: Mapping[str, TemporalModule], optimizer: torch.optim.Optimizer) -> None:
    """Raises ValueError where a step would fail, do nothing, or change the teacher."""
    parameters = [parameter for module in students.values() for parameter in module.parameters()]
    half = next((parameter.dtype for parameter in parameters if parameter.dtype.itemsize < 4), None)
    if half is not None:
        raise ValueError(f"the student is in {half}: load it with dtype=torch.float32")
    optimised = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if not all(parameter.requires_grad and id(parameter) in optimised for parameter in parameters):
        raise ValueError("the optimizer is not that of this student: make it with distillation_optimizer(student, ...)")
    places = {parameter.data_ptr() for parameter in teacher.parameters()}
    if any(parameter.data_ptr() in places for parameter in parameters if parameter.numel()):
        raise ValueError("student and teacher share tensors, so training would change both: load each on its own")


@contextmanager
def listening(teacher: UNet, learn: Callable[[str, Tensor, int, Tensor], None]) -> Iterator[None]:
    """While it lasts, learn(name, x, frames, y) is called with input and output of each temporal module that runs."""

    def listener(name: str):
        return lambda module, inputs, output: learn(name, inputs[0], inputs[1], output)

    handles = [module.register_forward_hook(listener(name)) for name, module in temporal_modules(teacher).items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
