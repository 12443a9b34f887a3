"""Blockwise distillation: every temporal module of a student learns what its teacher's does, on the teacher's inputs.

The teacher runs as it samples; each of its temporal modules hands its input and output to the student's module in the
same place. The rest of the student is never run, nothing is stored, and gradients stay within one module.
loss.DistillationLoss makes a loss of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor

from ..model import UNet
from ..model.temporal import TemporalModule
from .settings import TrainingError


def temporal_modules(unet: UNet) -> dict[str, TemporalModule]:
    """By name, in the order in which the network runs them."""
    return {name: module for name, module in unet.named_modules() if isinstance(module, TemporalModule)}


def paired(teacher: UNet, student: UNet) -> dict[str, TemporalModule]:
    """The student's module for each of the teacher's, by name.

    Raises TrainingError where the two have other modules, so that the student cannot be made from the teacher.
    """
    theirs, ours = temporal_modules(teacher), temporal_modules(student)
    shapes = {name: module.proj_in.weight.shape for name, module in theirs.items()}
    if shapes != {name: module.proj_in.weight.shape for name, module in ours.items()}:
        raise TrainingError(
            "teacher and student have temporal modules of other number or width: make the student from the teacher "
            "with python -m unianimate_core to-mamba"
        )
    return ours


def residual_loss(added: Tensor, wanted: Tensor) -> Tensor:
    """Mean square of the difference, in units of the mean square of what is wanted: 1 is a module that adds nothing."""
    return (added - wanted).square().mean() / wanted.square().mean().clamp(min=1e-12)


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
