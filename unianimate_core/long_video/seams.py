"""How a segment of a chain joins the one before, against drift of colors and detail.

A segment begins with a decoded frame of the segment before, so each hand-over passes the VAE. These options lessen what
that costs; benchmarks/drift.py measures them. The defaults here are the paper's.
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

    shared_frames: how many frames neighbors have in common; 1 in the paper. From the second on, they pass gradually
    from the latents of the earlier segment to those of the later.
    match_colors: 0 to 1, how far a segment takes the colors that its shared frames have in the segment before.
    hold_latents: the later segment is sampled around the earlier one's latents of the shared frames, which then do not
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

    image: the first shared frame, b 3 1 H W in [0, 1]. latents: of the shared frames, b 4 n h w, as sampled; None if
    an image of the user's begins the chain.
    """

    image: Tensor
    latents: Tensor | None = None

    def __post_init__(self):
        object.__setattr__(self, "image", as_stored(self.image))
        if self.latents is not None:
            object.__setattr__(self, "latents", as_stored(self.latents))


def as_stored(tensor: Tensor) -> Tensor:
    """A contiguous copy, laid out as if it were read from a file.

    The last bits of what is computed from it depend on the layout, and a resumed run must give the identical result.
    """
    return tensor.clone(memory_format=torch.contiguous_format)


def join(latents: Tensor, before: Tensor, seams: Seams) -> Tensor:
    """A segment's latents, b 4 f h w, joined to those of the segment before for its first frames, b 4 n h w."""
    if seams.match_colors:
        latents = torch.lerp(latents, with_colors_of(latents, before), seams.match_colors)
    return crossfaded(latents, before)


def with_colors_of(latents: Tensor, before: Tensor) -> Tensor:
    """All frames, shifted and scaled so that the first ones have the mean and deviation of `before` in each channel.

    Latent channels are nearly linear in color, so this is a color transfer (Reinhard et al. 2001). Contrast changes by
    at most a quarter, since the two may differ in more than color.
    """
    now, dims = latents[:, :, : before.shape[2]], (2, 3, 4)
    contrast = before.std(dims, keepdim=True) / now.std(dims, keepdim=True).clamp(min=1e-6)
    contrast = contrast.clamp(1 / MOST_CONTRAST_CHANGE, MOST_CONTRAST_CHANGE)
    return (latents - now.mean(dims, keepdim=True)) * contrast + before.mean(dims, keepdim=True)


def crossfaded(latents: Tensor, before: Tensor) -> Tensor:
    """Latents whose first frames fade from `before`, which is all of frame 0, to their own."""
    shared = before.shape[2]
    share = torch.arange(shared, dtype=latents.dtype, device=latents.device)[:, None, None] / shared
    return torch.cat([torch.lerp(before, latents[:, :, :shared], share), latents[:, :, shared:]], dim=2)


def held(denoiser: Denoiser, known: Tensor, noise: Tensor, schedule: NoiseSchedule | None = None) -> Denoiser:
    """A denoiser that knows the first frames: it sees and predicts them as `known` under `noise`.

    known, noise: b 4 n h w. If the run ends clean, its first frames are `known`.
    Source: Lugmayr et al. 2022, RePaint, eq. 8; one noise serves all steps, since DDIM's path is straight.
    """
    schedule = schedule or NoiseSchedule()
    shared = known.shape[2]

    def denoise(x: Tensor, t: int) -> Tensor:
        seen = torch.cat([schedule.add_noise(known, noise, t), x[:, :, shared:]], dim=2)
        v = denoiser(seen, t)
        # The v that leads from x to `known`: DDIM then stays on the path from the noise.
        alpha_bar = float(schedule.alpha_bar[t])
        v_known = (alpha_bar**0.5 * x[:, :, :shared] - known) / (1 - alpha_bar) ** 0.5
        return torch.cat([v_known, v[:, :, shared:]], dim=2)

    return denoise
