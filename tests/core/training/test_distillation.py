"""Blockwise distillation: temporal modules learn from the teacher's, and nothing else changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.support.training import NETWORK, RUN, SETTINGS, equal, make_run, make_unet, spread, write_checkpoint
from unianimate_core.checkpoint.to_mamba import convert_to_mamba
from unianimate_core.config import MambaConfig
from unianimate_core.model import UNet
from unianimate_core.training.data.clips import Clips, TrainingClips, collate
from unianimate_core.training.distillation import residual_loss, temporal_modules, watch_temporal_modules
from unianimate_core.training.loop.run import Run
from unianimate_core.training.loop.trainer import make_accelerator, train_run
from unianimate_core.training.loss import DistillationLoss, empty_text, predict_v
from unianimate_core.training.network.weights import NetworkWeights, loaded_unet
from unianimate_core.training.settings import TrainingError

TEXT = empty_text(NETWORK)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, Path]:
    """Checkpoints of a teacher and of the student made from it."""
    folder = tmp_path_factory.mktemp("distillation")
    teacher, student = folder / "teacher.safetensors", folder / "student.safetensors"
    write_checkpoint(teacher, spread(make_unet()))
    convert_to_mamba(teacher, student, MambaConfig(expand=1, keep_ff=False))
    return teacher, student


@pytest.fixture
def networks(files) -> tuple[UNet, UNet]:
    teacher, student = (loaded_unet(file, dropout=0.0, device=torch.device("cpu")) for file in files)
    return teacher.requires_grad_(False).eval(), student


def distillation(folder: Path, teacher: UNet, student: UNet, steps: int = 1) -> Run:
    """A run as `train --distill` makes it."""
    settings = replace(SETTINGS, part="temporal", learning_rate=1e-2, ema_decay=0.0)
    run = make_run(folder, settings, replace(RUN, steps=steps, save_every=1000))
    loss, trained = DistillationLoss(teacher, student, TEXT), NetworkWeights(student, "temporal")
    return replace(run, unet=student, loss=loss, trained=trained)


def clips_of(run: Run) -> Clips:
    return collate([TrainingClips(run.sequences, SETTINGS)[position] for position in (0, 1)])


def module_losses(teacher: UNet, student: UNet, clips: Clips) -> dict[str, float]:
    """The loss of each temporal module, by name."""
    losses = {}

    def note(name: str, x: Tensor, frames: int, y: Tensor) -> None:
        losses[name] = float(residual_loss(temporal_modules(student)[name](x, frames) - x, y - x))

    with torch.no_grad(), watch_temporal_modules(teacher, note):
        predict_v(teacher, TEXT, clips)
    return losses


def test_every_module_moves_towards_its_teacher(tmp_path, networks):
    """The teacher stays unchanged."""
    teacher, student = networks
    run = distillation(tmp_path / "run", *networks, steps=20)
    weights = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    before = module_losses(*networks, clips_of(run))
    train_run(run, make_accelerator(run.settings))
    after = module_losses(*networks, clips_of(run))
    assert after.keys() == temporal_modules(student).keys()
    assert [name for name in before if after[name] < 0.9 * before[name]] == list(before)
    assert equal(weights, teacher.state_dict())


def test_the_student_never_runs_as_a_whole(tmp_path, networks):
    """Distillation is cheap: one pass of the teacher, and one of the student's temporal modules."""
    teacher, student = networks
    run = distillation(tmp_path / "run", teacher, student)
    student.denoise = None  # type: ignore
    student.conditions.forward = None  # type: ignore
    of_modules = module_losses(teacher, student, clips_of(run)).values()
    assert run.loss(clips_of(run)).tolist() == pytest.approx([sum(of_modules) / len(of_modules)] * 2, rel=1e-4)


def test_only_the_inputs_of_modules_stay_in_memory_for_the_gradients(tmp_path, networks):
    """Otherwise the activations of all 17 modules of the released network would be in memory at once."""
    run, kept, inputs = distillation(tmp_path / "run", *networks), [], []

    def note(name: str, x: Tensor, frames: int, y: Tensor) -> None:
        inputs.append(x.numel())

    counting = torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x)
    with counting, watch_temporal_modules(networks[0], note):
        run.loss(clips_of(run))
    assert sum(kept) < 4 * sum(inputs)


def test_the_teacher_has_no_hooks_left_after_an_error(tmp_path, networks):
    run = distillation(tmp_path / "run", *networks)
    with pytest.raises(ValueError, match="pose is 64x64 pixels"):
        run.loss(replace(clips_of(run), latents=torch.zeros(2, 4, 2, 7, 8), noise=torch.zeros(2, 4, 2, 7, 8)))
    assert not any(module._forward_hooks for module in networks[0].modules())


def test_a_module_that_adds_nothing_has_a_loss_of_one():
    wanted = torch.randn(3, 4)
    assert residual_loss(torch.zeros(3, 4), wanted) == 1
    assert residual_loss(wanted, wanted) == 0


def test_a_student_of_another_network_is_refused(networks):
    other = make_unet(replace(NETWORK, multipliers=(1, 1), attention_levels=(True, True)))
    sentence = "differ in the number or width of their temporal modules: make the student from"
    with pytest.raises(TrainingError, match=sentence):
        DistillationLoss(other, networks[1], TEXT)
