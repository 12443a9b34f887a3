"""Held-out drawn characters, animated: what the paper's tables and the contact sheet are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from unianimate_core.diffusion import Denoiser, ddim_sample, guided, starting_latents
from unianimate_core.long_video import PAPERS, Handover, Seams, chain_segments, sample_windows
from unianimate_core.model import UNet
from unianimate_core.pose import Pose, draw_poses
from unianimate_core.seams import held
from unianimate_core.training.characters import DrawnClip
from unianimate_core.training.data.autoencoders import Autoencoder

SINGLE_PRIOR, LONG_PRIOR = 949, 939  # timesteps of the authors' noise priors


@dataclass(frozen=True)
class Sampling:
    """steps: asked of ddim_timesteps; guidance: scale; noise_prior: whether runs start from the diffused reference."""

    steps: int = 30
    guidance: float = 2.5
    noise_prior: bool = True


@dataclass(frozen=True)
class Given:
    """What a row of a table gives the network beside reference picture and poses."""

    reference_pose: bool = True
    first_frame: bool = False


class Animator:
    """A network and a VAE that make videos of drawn clips. The same seed starts every network from the same noise."""

    def __init__(self, unet: UNet, codec: Autoencoder, sampling: Sampling, device: torch.device | str = "cpu"):
        self.unet = unet
        self.codec = codec
        self.sampling = sampling
        self.device = device
        # Zeros in place of text states: one of them, since any number attends to the same nothing.
        self.text = torch.zeros(1, 1, unet.config.context_dim, device=device)

    def sampled(self, sampling: Sampling) -> Animator:
        """The same network and VAE, sampled otherwise."""
        return Animator(self.unet, self.codec, sampling, self.device)

    def clip(self, clip: DrawnClip, given: Given, seed: int) -> np.ndarray:
        """All frames at once: uint8 f h w 3."""
        conditions = self._conditions(clip, given) | {"pose": self._drawn(clip.poses, clip)}
        if given.first_frame:
            conditions["first_frame"] = self._pictures(clip.frames[:1])
        start = self._start(conditions, len(clip.frames), seed, SINGLE_PRIOR)
        return as_frames(self.codec.decode(ddim_sample(self._guided(conditions), start, self.sampling.steps)))

    def chained(self, clip: DrawnClip, segments: Sequence[range], seed: int, seams: Seams = PAPERS) -> np.ndarray:
        """Segment after segment, each beginning with the last picture of the one before: the paper's way."""
        conditions = self._conditions(clip, Given())

        def sample(frames: range, handover: Handover | None, own_seed: int) -> Tensor:
            own = conditions | {"pose": self._drawn([clip.poses[frame] for frame in frames], clip)}
            if handover is not None:
                own["first_frame"] = handover.picture
            start = self._start(own, len(frames), own_seed, LONG_PRIOR)
            denoiser = self._guided(own)
            if seams.hold_latents and handover is not None and handover.latents is not None:
                noise = torch.randn(handover.latents.shape, generator=torch.Generator().manual_seed(own_seed))
                denoiser = held(denoiser, handover.latents, noise.to(start))
            return ddim_sample(denoiser, start, self.sampling.steps)

        chain = chain_segments(segments, sample, self.codec.decode, seed=seed, seams=seams)
        return np.concatenate([as_frames(self.codec.decode(segment.latents)) for segment in chain])

    def windowed(self, clip: DrawnClip, window: int, overlap: int, seed: int) -> np.ndarray:
        """All frames by overlapping windows, averaged at each step: what the paper compares with."""
        conditions = self._conditions(clip, Given())

        def denoiser_for_window(frames: list[int]) -> Denoiser:
            return self._guided(conditions | {"pose": self._drawn([clip.poses[frame] for frame in frames], clip)})

        start = self._start(conditions, len(clip.frames), seed, LONG_PRIOR)
        latents = sample_windows(denoiser_for_window, start, self.sampling.steps, window, overlap)
        return np.concatenate([as_frames(self.codec.decode(part)) for part in latents.split(window, dim=2)])

    def reconstructed(self, clip: DrawnClip) -> np.ndarray:
        """The true frames through the VAE and back: no network can come nearer."""
        return as_frames(self.codec.decode(self.codec.encode(self._pictures(clip.frames))))

    def _conditions(self, clip: DrawnClip, given: Given) -> dict[str, Tensor]:
        conditions = {"reference_latent": self.codec.encode(self._pictures(clip.reference[None]))}
        if given.reference_pose:
            conditions["reference_pose"] = self._drawn([clip.reference_pose], clip)
        return conditions

    def _guided(self, conditions: dict[str, Tensor]) -> Denoiser:
        return guided(self.unet, conditions, self.text, self.sampling.guidance)

    def _start(self, conditions: dict[str, Tensor], frames: int, seed: int, prior: int) -> Tensor:
        reference = conditions["reference_latent"].cpu()
        height, width = reference.shape[-2:]
        noise = starting_latents(
            (1, 4, frames, height, width),
            torch.Generator().manual_seed(seed),
            reference,
            prior=prior if self.sampling.noise_prior else 0,
            long_video=prior == LONG_PRIOR,
        )
        return noise.to(self.device)

    def _drawn(self, poses: Sequence[Pose], clip: DrawnClip) -> Tensor:
        return self._pictures(draw_poses(poses, *clip.reference.shape[:2]))

    def _pictures(self, frames: np.ndarray) -> Tensor:
        """uint8 f h w 3 to 1 3 f h w in [0, 1]."""
        return rearrange(torch.from_numpy(frames).to(self.device).float() / 255, "f h w c -> 1 c f h w")


def as_frames(pictures: Tensor) -> np.ndarray:
    """1 3 f h w in [0, 1] to uint8 f h w 3."""
    eight_bit = (pictures.float().clamp(0, 1) * 255).round().to(torch.uint8)
    return rearrange(eight_bit, "1 c f h w -> f h w c").cpu().numpy()
