"""What is minimised: the squared error of v, weighted by timestep."""

from __future__ import annotations

import torch
from torch import Tensor

from ..diffusion import NoiseSchedule
from .settings import TrainingError, TrainingSettings

SCHEDULE = NoiseSchedule()


def timestep_weight(t: Tensor, settings: TrainingSettings) -> Tensor:
    """The weight of the squared error of v at timesteps t: b, fp32.

    With snr = alpha_bar / (1 - alpha_bar), an error of x0 is one of v divided by snr + 1. So "v" weighs x0 by snr + 1,
    "min_snr" by min(snr, bound), and "x0" by 1 at every timestep, the last and noisiest included, where the network
    paints from its conditions alone. Source: Hang et al. 2023, Efficient Diffusion Training via Min-SNR Weighting, eq. 8.
    """
    alpha_bar = SCHEDULE.alpha_bar.to(t.device)[t]
    if settings.weighting == "v":
        weight = torch.ones_like(alpha_bar)
    elif settings.weighting == "x0":
        weight = 1 - alpha_bar
    elif settings.weighting == "min_snr":  # min(snr, bound) / (snr + 1), in a form without division by 1 - alpha_bar
        weight = torch.minimum(alpha_bar, settings.min_snr * (1 - alpha_bar))
    else:
        raise TrainingError(f"weighting is {settings.weighting!r}: there is none of this name")
    return weight.float()


def clip_losses(v: Tensor, x0: Tensor, noise: Tensor, t: Tensor, settings: TrainingSettings) -> Tensor:
    """The weighted loss of each clip: b. v, x0, noise: b 4 f h w; t: b."""
    error = (v.float() - SCHEDULE.v_target(x0, noise, t)).square().mean(dim=(1, 2, 3, 4))
    return timestep_weight(t, settings) * error
