"""Blockwise distillation: temporal modules learn from the teacher's, and nothing else is touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.support.training import NETWORK, RUN, SETTINGS, equal, make_job, make_unet, spread
from unianimate_core.checkpoint import to_checkpoint
from unianimate_core.checkpoint.loading import metadata_of
from unianimate_core.checkpoint.to_mamba import convert_to_mamba
from unianimate_core.config import MambaConfig
from unianimate_core.model import UNet
from unianimate_core.training.data.clips import Clips, TrainingClips, together
from unianimate_core.training.distillation import listening, residual_loss, temporal_modules
from unianimate_core.training.loop.job import Job
from unianimate_core.training.loop.trainer import make_accelerator, train
from unianimate_core.training.loss import DistillationLoss, empty_text, predict
from unianimate_core.training.network.weights import NetworkWeights, loaded_unet
from unianimate_core.training.settings import TrainingError

TEXT = empty_text(NETWORK)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> tuple[Path, Path]:
    """Checkpoints of a teacher and of the student that is made of it."""
    folder = tmp_path_factory.mktemp("distillation")
    teacher, student = folder / "teacher.safetensors", folder / "student.safetensors"
    tensors = to_checkpoint(spread(make_unet()).state_dict(), NETWORK)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, teacher, metadata_of(NETWORK))
    convert_to_mamba(teacher, student, MambaConfig(expand=1, keep_ff=False))
    return teacher, student


@pytest.fixture
def networks(files) -> tuple[UNet, UNet]:
    teacher, student = (loaded_unet(file, dropout=0.0, device=torch.device("cpu")) for file in files)
    return teacher.requires_grad_(False).eval(), student


def distillation(folder: Path, teacher: UNet, student: UNet, steps: int = 1) -> Job:
    """As `train --distil` makes it."""
    settings = replace(SETTINGS, part="temporal", rate=1e-2, ema_decay=0.0)
    job = make_job(folder, settings, replace(RUN, steps=steps, save_every=1000))
    loss, trained = DistillationLoss(teacher, student, TEXT), NetworkWeights(student, "temporal")
    return replace(job, unet=student, loss=loss, trained=trained)


def clips_of(job: Job) -> Clips:
    return together([TrainingClips(job.sequences, SETTINGS)[position] for position in (0, 1)])


def loss_of_each(teacher: UNet, student: UNet, clips: Clips) -> dict[str, float]:
    """By module."""
    losses = {}

    def note(name: str, x: Tensor, frames: int, y: Tensor) -> None:
        losses[name] = float(residual_loss(temporal_modules(student)[name](x, frames) - x, y - x))

    with torch.no_grad(), listening(teacher, note):
        predict(teacher, TEXT, clips)
    return losses


def test_every_module_comes_closer_to_its_teachers(tmp_path, networks):
    """And the teacher stays as it is."""
    teacher, student = networks
    job = distillation(tmp_path / "run", *networks, steps=20)
    weights = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    before = loss_of_each(*networks, clips_of(job))
    train(job, make_accelerator(job.settings))
    after = loss_of_each(*networks, clips_of(job))
    assert after.keys() == temporal_modules(student).keys()
    assert [name for name in before if after[name] < 0.9 * before[name]] == list(before)
    assert equal(weights, teacher.state_dict())


def test_the_student_is_never_run_as_a_whole(tmp_path, networks):
    """That is what makes it cheap: one pass of the teacher, and of the student its temporal modules."""
    teacher, student = networks
    job = distillation(tmp_path / "run", teacher, student)
    student.denoise = None  # type: ignore
    student.conditions.forward = None  # type: ignore
    of_modules = loss_of_each(teacher, student, clips_of(job)).values()
    assert job.loss(clips_of(job)).tolist() == pytest.approx([sum(of_modules) / len(of_modules)] * 2, rel=1e-4)


def test_until_the_gradients_only_the_inputs_of_modules_are_kept(tmp_path, networks):
    """Or the insides of all 17 modules of the released network would be in memory at once."""
    job, kept, inputs = distillation(tmp_path / "run", *networks), [], []

    def note(name: str, x: Tensor, frames: int, y: Tensor) -> None:
        inputs.append(x.numel())

    counting = torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x)
    with counting, listening(networks[0], note):
        job.loss(clips_of(job))
    assert sum(kept) < 4 * sum(inputs)


def test_the_teacher_is_left_without_listeners_when_it_fails(tmp_path, networks):
    job = distillation(tmp_path / "run", *networks)
    with pytest.raises(ValueError, match="pose is 64x64 pixels"):
        job.loss(replace(clips_of(job), latents=torch.zeros(2, 4, 2, 7, 8), noise=torch.zeros(2, 4, 2, 7, 8)))
    assert not any(module._forward_hooks for module in networks[0].modules())


def test_a_module_that_adds_nothing_has_a_loss_of_one():
    wanted = torch.randn(3, 4)
    assert residual_loss(torch.zeros(3, 4), wanted) == 1
    assert residual_loss(wanted, wanted) == 0


def test_networks_that_do_not_match_are_refused(networks):
    other = make_unet(replace(NETWORK, multipliers=(1, 1), attention_levels=(True, True)))
    with pytest.raises(TrainingError, match="temporal modules of other number or width: make the student from"):
        DistillationLoss(other, networks[1], TEXT)
