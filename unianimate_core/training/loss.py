"""The losses: the squared error of v, weighted by timestep, or in distillation that of each temporal module.

Each loss is one module, so that what wraps it (several GPUs, mixed precision) sees every use of a weight.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ..config import ModelConfig
from ..diffusion import NoiseSchedule
from ..model import UNet
from .conditions import as_network_sees, embed_kept
from .data.clips import Clips
from .distillation import residual_loss, student_modules, watch_temporal_modules
from .settings import TrainingSettings

SCHEDULE = NoiseSchedule()


def timestep_weight(t: Tensor, settings: TrainingSettings) -> Tensor:
    """The weight of the squared error of v at timesteps t: b, fp32.

    With snr = alpha_bar / (1 - alpha_bar), the squared error of x0 is that of v divided by snr + 1. So "v" weights the
    error of x0 by snr + 1, "min_snr" by min(snr, bound), and "x0" by 1 at every timestep. The last one, at which the
    network paints from its conditions alone, then counts as much as any other.
    Source: Hang et al. 2023, Efficient Diffusion Training via Min-SNR Weighting.
    """
    alpha_bar = SCHEDULE.alpha_bar.to(t.device)[t]
    weights = {
        "v": torch.ones_like(alpha_bar),
        "x0": 1 - alpha_bar,
        "min_snr": torch.minimum(alpha_bar, settings.min_snr * (1 - alpha_bar)),
    }
    return weights[settings.weighting].float()


def clip_losses(v: Tensor, clips: Clips, settings: TrainingSettings) -> Tensor:
    """The weighted loss of each clip: b. v: b 4 f h w."""
    target = SCHEDULE.v_target(clips.latents, clips.noise, clips.t)
    error = (v.float() - target).square().mean(dim=(1, 2, 3, 4))
    return timestep_weight(clips.t, settings) * error


class DenoisingLoss(nn.Module):
    """The weighted error of v for each clip of a batch. text: 1 n C, the states of the empty prompt."""

    text: Tensor

    def __init__(self, unet: UNet, text: Tensor, settings: TrainingSettings):
        super().__init__()
        self.unet, self.settings = unet, settings
        self.register_buffer("text", text, persistent=False)

    def forward(self, clips: Clips) -> Tensor:
        return clip_losses(predict_v(self.unet, self.text, clips), clips, self.settings)


class DistillationLoss(nn.Module):
    """The error of a student's temporal modules on the inputs of its teacher's: the same mean for each clip.

    The rest of the student never runs. Until the gradients are computed, only the input of each module stays in memory.
    Raises TrainingError if the student was not made from the teacher.
    """

    text: Tensor

    def __init__(self, teacher: UNet, student: UNet, text: Tensor):
        super().__init__()
        modules = student_modules(teacher, student)
        self.students = nn.ModuleDict({_key(name): module for name, module in modules.items()})
        self.teacher = [teacher]  # in a list, so that it is no submodule: it is not trained
        self.register_buffer("text", text, persistent=False)

    def forward(self, clips: Clips) -> Tensor:
        losses: list[Tensor] = []

        def learn(name: str, x: Tensor, frames: int, y: Tensor) -> None:
            with torch.enable_grad():
                added = self._student(name, x, frames) - x
                losses.append(residual_loss(added.float(), (y - x).float()))

        with torch.no_grad(), watch_temporal_modules(self.teacher[0], learn):
            predict_v(self.teacher[0], self.text, clips)
        return torch.stack(losses).mean().expand(len(clips.latents))

    def _student(self, name: str, x: Tensor, frames: int) -> Tensor:
        return checkpoint(self.students[_key(name)], x, frames, use_reentrant=False)  # pyright: ignore[reportReturnType]


def predict_v(unet: UNet, text: Tensor, clips: Clips) -> Tensor:
    """v for noised clips, each with the conditions that it keeps: b 4 f h w."""
    given = {
        "pose": as_network_sees(clips.pose),
        "reference_pose": as_network_sees(clips.reference_pose),
        "first_frame": as_network_sees(clips.first_frame),
        "reference_latent": clips.reference_latent,
        "image": clips.image,
    }
    x_t = SCHEDULE.add_noise(clips.latents, clips.noise, clips.t)
    return unet.denoise(x_t, clips.t, embed_kept(unet, text, given, clips.kept))


def empty_text(config: ModelConfig) -> Tensor:
    """Zeros for the states of the empty prompt. One token is enough, since attention to more zeros gives the same."""
    return torch.zeros(1, 1, config.context_dim)


def _key(name: str) -> str:
    return name.replace(".", "/")  # module names cannot hold dots
