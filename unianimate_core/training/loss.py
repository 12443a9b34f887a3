"""What is minimized: the squared error of v, weighted by timestep, or in distillation that of each temporal module.

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
from .distillation import listening, paired, residual_loss
from .settings import TrainingSettings

SCHEDULE = NoiseSchedule()


def timestep_weight(t: Tensor, settings: TrainingSettings) -> Tensor:
    """The weight of the squared error of v at timesteps t: b, fp32.

    With snr = alpha_bar / (1 - alpha_bar), an error of x0 is one of v divided by snr + 1. So "v" weighs x0 by snr + 1,
    "min_snr" by min(snr, bound), and "x0" by 1 at every timestep, the last and noisiest included, where the network
    paints from its conditions alone. Source: Hang et al. 2023, Efficient Diffusion Training via Min-SNR Weighting.
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
    """How far v is off, of each clip of a batch. text: 1 n C, the states of the empty prompt."""

    text: Tensor

    def __init__(self, unet: UNet, text: Tensor, settings: TrainingSettings):
        super().__init__()
        self.unet, self.settings = unet, settings
        self.register_buffer("text", text, persistent=False)

    def forward(self, clips: Clips) -> Tensor:
        return clip_losses(predict(self.unet, self.text, clips), clips, self.settings)


class DistillationLoss(nn.Module):
    """How far the temporal modules of a student are off its teacher's, on the teacher's inputs; one mean for all clips.

    The rest of the student is never run, and of each module only the input is kept until its gradients are computed.
    Raises TrainingError where the student was not made from the teacher.
    """

    text: Tensor

    def __init__(self, teacher: UNet, student: UNet, text: Tensor):
        super().__init__()
        self.students = nn.ModuleDict({_key(name): module for name, module in paired(teacher, student).items()})
        self.teacher = [teacher]  # in a list, since it is none of what is trained
        self.register_buffer("text", text, persistent=False)

    def forward(self, clips: Clips) -> Tensor:
        losses: list[Tensor] = []

        def learn(name: str, x: Tensor, frames: int, y: Tensor) -> None:
            with torch.enable_grad():
                added = self._student(name, x, frames) - x
                losses.append(residual_loss(added.float(), (y - x).float()))

        with torch.no_grad(), listening(self.teacher[0], learn):
            predict(self.teacher[0], self.text, clips)
        return torch.stack(losses).mean().expand(len(clips.latents))

    def _student(self, name: str, x: Tensor, frames: int) -> Tensor:
        return checkpoint(self.students[_key(name)], x, frames, use_reentrant=False)  # pyright: ignore[reportReturnType]


def predict(unet: UNet, text: Tensor, clips: Clips) -> Tensor:
    """v of noised clips, each with the conditions that it keeps: b 4 f h w."""
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
    """Zeros in place of the empty prompt's states: one token, since any number of them attends to the same nothing."""
    return torch.zeros(1, 1, config.context_dim)


def _key(name: str) -> str:
    return name.replace(".", "/")  # names of modules hold no dots
