"""Blockwise distillation: temporal modules learn from the teacher's, and nothing else is touched."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from tests.made_up_mamba import mamba_config
from tests.parity.made_up import conditions, text, tiny_config, tiny_unet, tiny_weights
from unianimate_core.checkpoint import load_unet
from unianimate_core.checkpoint.to_mamba import to_mamba
from unianimate_core.config import MambaConfig
from unianimate_core.model import UNet
from unianimate_core.training.distillation import (
    DistillationSettings,
    distil,
    distillation_optimizer,
    residual_loss,
    temporal_modules,
)


def made_student() -> UNet:
    tensors, config = to_mamba(tiny_weights(), tiny_config(), MambaConfig(expand=1, keep_ff=False))
    return load_unet(tensors, config=config)


def calls(count: int, clips: int = 1) -> Iterator[dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    given = conditions(["image", "pose"], "", 3, 64, 64)
    for _ in range(count):
        t = torch.randint(0, 1000, (clips,), generator=generator)
        yield {"x": torch.randn(clips, 4, 3, 8, 8, generator=generator), "t": t, "text": text()} | given


def test_every_module_comes_closer_to_its_teachers():
    student = made_student()
    history = list(distil(tiny_unet(), student, calls(20), distillation_optimizer(student, DistillationSettings())))
    assert len(history) == 20
    assert history[0].keys() == temporal_modules(student).keys()
    closer = [name for name in history[0] if history[-1][name] < 0.9 * history[0][name]]
    assert closer == list(history[0])


def test_nothing_but_temporal_modules_changes():
    student = made_student()
    before = {name: x.clone() for name, x in student.state_dict().items()}
    teacher = {name: x.clone() for name, x in tiny_weights().items()}
    list(distil(tiny_unet(), student, calls(2), distillation_optimizer(student, DistillationSettings())))
    changed = {name for name, x in student.state_dict().items() if not torch.equal(x, before[name])}
    assert {name for name in before if ".temporal." in name} == changed
    assert all(torch.equal(x, teacher[name]) for name, x in tiny_weights().items())


def test_the_student_is_never_run_as_a_whole():
    """That is what makes it cheap: one pass of the teacher, and one module's gradients at a time."""
    student = made_student()
    student.denoise = None  # type: ignore
    student.conditions.forward = None  # type: ignore
    assert (
        len(list(distil(tiny_unet(), student, calls(1), distillation_optimizer(student, DistillationSettings())))) == 1
    )


def test_the_teacher_is_left_without_listeners_when_it_fails():
    student = made_student()
    optimizer = distillation_optimizer(student, DistillationSettings())
    with pytest.raises(ValueError, match="x has shape"):
        list(distil(tiny_unet(), student, [{"x": torch.zeros(1), "t": torch.tensor([0]), "text": text()}], optimizer))
    assert not any(module._forward_hooks for module in tiny_unet().modules())


def test_decay_and_gates_are_not_decayed():
    """Weight decay would pull A towards -1 and the skip D towards 0."""
    student = made_student()
    decayed, others = distillation_optimizer(student, DistillationSettings(weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], others["weight_decay"]) == (0.1, 0)
    names = {id(parameter): name for name, parameter in student.named_parameters()}
    assert not any(names[id(p)].endswith(("A_log", "A_b_log", "D", "D_b", "alpha", "bias")) for p in decayed["params"])
    trainable = {name for name, parameter in student.named_parameters() if parameter.requires_grad}
    assert trainable == {names[id(p)] for p in decayed["params"] + others["params"]}


def test_several_clips_pass_at_once():
    student = made_student()
    optimizer = distillation_optimizer(student, DistillationSettings())
    (losses,) = distil(tiny_unet(), student, calls(1, clips=2), optimizer)
    assert all(0 < loss < 10 for loss in losses.values())


def test_what_cannot_be_trained_is_refused():
    """Before a step: half precision fails within PyTorch, a foreign optimizer changes nothing, a shared tensor both."""
    student, other = made_student(), made_student()
    optimizer = distillation_optimizer(student, DistillationSettings())
    with pytest.raises(ValueError, match="the optimizer is not that of this student"):
        next(distil(tiny_unet(), other, calls(1), optimizer))
    half = made_student().half()
    with pytest.raises(ValueError, match=r"the student is in torch.float16: load it with dtype=torch.float32"):
        next(distil(tiny_unet(), half, calls(1), distillation_optimizer(half, DistillationSettings())))
    with pytest.raises(ValueError, match="share tensors"):
        next(distil(student, student, calls(1), optimizer))


def test_a_module_that_adds_nothing_has_a_loss_of_one():
    wanted = torch.randn(3, 4)
    assert residual_loss(torch.zeros(3, 4), wanted) == 1
    assert residual_loss(wanted, wanted) == 0


def test_networks_that_do_not_match_are_refused():
    other = UNet(dataclasses.replace(mamba_config(), stem_width=64), device="meta")
    optimizer = distillation_optimizer(other, DistillationSettings())
    with pytest.raises(ValueError, match="temporal modules of other number or width"):
        next(distil(tiny_unet(), other, [], optimizer), None)


def test_a_rate_that_cannot_train_is_refused():
    with pytest.raises(ValueError, match="learning_rate is 0"):
        DistillationSettings(learning_rate=0)
