"""What holds a segment of a chain to the one before, against drift of colors and detail.

A segment begins with an image of the one before, and that image has passed the VAE once more than the latents it was
made of. These are the ways around it, which benchmarks/drift.py measures; the defaults here are the paper's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..diffusion import Denoiser, NoiseSchedule

MOST_CONTRAST_CHANGE = 1.25


@dataclass(frozen=True)
class Seams:
    """How segments meet.

    shared_frames: that neighbors have in common; 1 in the paper. From the second on, they pass gradually from the
    earlier segment's latents to the later's.
    match_colors: 0 to 1, how far the later segment is shifted so that its shared frames have the colors that they
    have in the earlier one.
    hold_latents: the later segment is sampled around the earlier one's latents of the shared frames, which so never
    pass the VAE.
    """

    shared_frames: int = 1
    match_colors: float = 0.0
    hold_latents: bool = False

    def __post_init__(self):
        if self.shared_frames < 1:
            raise ValueError(f"shared_frames is {self.shared_frames}: give at least 1, the frame a segment begins with")
        if not 0 <= self.match_colors <= 1:
            raise ValueError(f"match_colors is {self.match_colors}: give 0 (as sampled) to 1 (fully)")


PAPERS = Seams()


@dataclass(frozen=True)
class Handover:
    """What a segment hands to the next.

    image: of the first shared frame, b 3 1 H W in [0, 1]. latents: of the shared frames, b 4 n h w, as they were
    sampled; None where an image of the user's begins the chain.
    """

    image: Tensor
    latents: Tensor | None = None

    def __post_init__(self):
        object.__setattr__(self, "image", as_stored(self.image))
        if self.latents is not None:
            object.__setattr__(self, "latents", as_stored(self.latents))


def as_stored(tensor: Tensor) -> Tensor:
    """A copy that keeps no other frame in memory and lies there as if it were read from a file.

    What is computed from it depends on that in its last bits, and a run that goes on must give the identical result.
    """
    return tensor.clone(memory_format=torch.contiguous_format)


def join(latents: Tensor, before: Tensor, seams: Seams) -> Tensor:
    """A segment's latents, b 4 f h w, fitted to those that the segment before gave its first frames, b 4 n h w."""
    if seams.match_colors:
        latents = torch.lerp(latents, with_colors_of(latents, before), seams.match_colors)
    return crossfaded(latents, before)


def with_colors_of(latents: Tensor, before: Tensor) -> Tensor:
    """All frames, moved so that the first ones have the mean and deviation of `before` in each channel.

    Latent channels are nearly linear in color, so that this is a color transfer (Reinhard et al. 2001). Contrast
    changes by at most a quarter: the two may differ in more than color.
    """
    now, dims = latents[:, :, : before.shape[2]], (2, 3, 4)
    contrast = before.std(dims, keepdim=True) / now.std(dims, keepdim=True).clamp(min=1e-6)
    contrast = contrast.clamp(1 / MOST_CONTRAST_CHANGE, MOST_CONTRAST_CHANGE)
    return (latents - now.mean(dims, keepdim=True)) * contrast + before.mean(dims, keepdim=True)


def crossfaded(latents: Tensor, before: Tensor) -> Tensor:
    """The first frames pass from `before`, wholly at frame 0, to the latents themselves."""
    shared = before.shape[2]
    share = torch.arange(shared, dtype=latents.dtype, device=latents.device)[:, None, None] / shared
    return torch.cat([torch.lerp(before, latents[:, :, :shared], share), latents[:, :, shared:]], dim=2)


def held(denoiser: Denoiser, known: Tensor, noise: Tensor, schedule: NoiseSchedule | None = None) -> Denoiser:
    """A denoiser to which the first frames are known: it sees and predicts them as `known` under `noise`.

    known, noise: b 4 n h w. Source: Lugmayr et al. 2022, RePaint, eq. 8, with one noise for all steps, since DDIM's
    path is a straight one. The result's first frames are `known` where the run ends clean.
    """
    schedule = schedule or NoiseSchedule()
    shared = known.shape[2]

    def denoise(x: Tensor, t: int) -> Tensor:
        seen = torch.cat([schedule.add_noise(known, noise, t), x[:, :, shared:]], dim=2)
        v = denoiser(seen, t)
        # What takes x, wherever it is, to `known`: DDIM then stays on the path from the noise.
        alpha_bar = float(schedule.alpha_bar[t])
        v_known = (alpha_bar**0.5 * x[:, :, :shared] - known) / (1 - alpha_bar) ** 0.5
        return torch.cat([v_known, v[:, :, shared:]], dim=2)

    return denoise
