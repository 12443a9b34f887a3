"""Blockwise distillation: each temporal module of a student learns its teacher's, on the teacher's inputs.

The teacher runs as in sampling. Each of its temporal modules passes its input and output to the student's module in
the same place. The rest of the student never runs, nothing is stored, and gradients stay within one module.
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


def student_modules(teacher: UNet, student: UNet) -> dict[str, TemporalModule]:
    """The student's temporal modules, by the names that they share with the teacher's.

    Raises TrainingError if the two networks differ in these, so that the student was not made from the teacher.
    """
    theirs, ours = temporal_modules(teacher), temporal_modules(student)
    shapes = {name: module.proj_in.weight.shape for name, module in theirs.items()}
    if shapes != {name: module.proj_in.weight.shape for name, module in ours.items()}:
        raise TrainingError(
            "teacher and student differ in the number or width of their temporal modules: make the student from the "
            "teacher with python -m unianimate_core to-mamba"
        )
    return ours


def residual_loss(added: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared difference over the mean square of what is wanted. A module that adds nothing has a loss of 1."""
    return (added - wanted).square().mean() / wanted.square().mean().clamp(min=1e-12)


@contextmanager
def watch_temporal_modules(teacher: UNet, learn: Callable[[str, Tensor, int, Tensor], None]) -> Iterator[None]:
    """Within the block, each temporal module that runs calls learn(name, x, frames, y) with its input and output."""

    def hook(name: str):
        return lambda module, inputs, output: learn(name, inputs[0], inputs[1], output)

    handles = [module.register_forward_hook(hook(name)) for name, module in temporal_modules(teacher).items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
