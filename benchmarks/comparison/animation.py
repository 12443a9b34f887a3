"""Held-out drawn characters, animated: what the paper's tables and the contact sheet are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from unianimate_core.diffusion import Denoiser, ddim_sample, guided, sample_clip, starting_latents
from unianimate_core.drawn_world.characters import DrawnClip
from unianimate_core.long_video.chain import chain_segments
from unianimate_core.long_video.seams import PAPERS, Handover, Seams, held
from unianimate_core.long_video.windows import sample_windows
from unianimate_core.media.images import as_clip, as_frames
from unianimate_core.model import UNet
from unianimate_core.pose import Pose, draw_poses
from unianimate_core.vae.autoencoder import Autoencoder

SINGLE_PRIOR, LONG_PRIOR = 949, 939  # timesteps of the authors' noise priors


@dataclass(frozen=True)
class Sampling:
    """How videos are made; the defaults are the authors'.

    steps: asked of ddim_timesteps; guidance: scale, 1 for one pass a step; noise_prior: whether runs start from the
    diffused reference. precision: "bf16" computes network and VAE in mixed precision.
    """

    steps: int = 30
    guidance: float = 2.5
    noise_prior: bool = True
    precision: Literal["fp32", "bf16"] = "fp32"


@dataclass(frozen=True)
class Given:
    """What a row of a table gives the network beside reference image and poses."""

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
        with self._precision():
            conditions = self._conditions(clip, given) | {"pose": self._drawn(clip.poses, clip)}
            if given.first_frame:
                conditions["first_frame"] = self._images(clip.frames[:1])
            latents = sample_clip(
                self.unet,
                conditions,
                self.text,
                steps=self.sampling.steps,
                guidance=self.sampling.guidance,
                prior=SINGLE_PRIOR if self.sampling.noise_prior else 0,
                seed=seed,
            )
            return as_frames(self.codec.decode(latents))

    def chained(self, clip: DrawnClip, segments: Sequence[range], seed: int, seams: Seams = PAPERS) -> np.ndarray:
        """Segment after segment, each beginning with the last image of the one before: the paper's way."""
        with self._precision():
            return self._chained(clip, segments, seed, seams)

    def _chained(self, clip: DrawnClip, segments: Sequence[range], seed: int, seams: Seams) -> np.ndarray:
        conditions = self._conditions(clip, Given())

        def sample(frames: range, handover: Handover | None, own_seed: int) -> Tensor:
            own = conditions | {"pose": self._drawn([clip.poses[frame] for frame in frames], clip)}
            if handover is not None:
                own["first_frame"] = handover.image
            start = self._start(own, len(frames), own_seed)
            denoiser = self._guided(own)
            if seams.hold_latents and handover is not None and handover.latents is not None:
                noise = torch.randn(handover.latents.shape, generator=torch.Generator().manual_seed(own_seed))
                denoiser = held(denoiser, handover.latents, noise.to(start))
            return ddim_sample(denoiser, start, self.sampling.steps)

        chain = chain_segments(segments, sample, self.codec.decode, seed=seed, seams=seams)
        return np.concatenate([as_frames(self.codec.decode(segment.latents)) for segment in chain])

    def windowed(self, clip: DrawnClip, window: int, overlap: int, seed: int) -> np.ndarray:
        """All frames by overlapping windows, averaged at each step: what the paper compares with."""
        with self._precision():
            conditions = self._conditions(clip, Given())

            def denoiser_for_window(frames: list[int]) -> Denoiser:
                return self._guided(conditions | {"pose": self._drawn([clip.poses[frame] for frame in frames], clip)})

            start = self._start(conditions, len(clip.frames), seed)
            latents = sample_windows(denoiser_for_window, start, self.sampling.steps, window, overlap)
            return np.concatenate([as_frames(self.codec.decode(part)) for part in latents.split(window, dim=2)])

    def reconstructed(self, clip: DrawnClip) -> np.ndarray:
        """The true frames through the VAE and back: no network can come nearer."""
        with self._precision():
            return as_frames(self.codec.decode(self.codec.encode(self._images(clip.frames))))

    def _precision(self) -> torch.autocast:
        """In which the network and the VAE compute; latents stay in fp32 from step to step."""
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.sampling.precision == "bf16")

    def _conditions(self, clip: DrawnClip, given: Given) -> dict[str, Tensor]:
        conditions = {"reference_latent": self.codec.encode(self._images(clip.reference[None])).float()}
        if given.reference_pose:
            conditions["reference_pose"] = self._drawn([clip.reference_pose], clip)
        return conditions

    def _guided(self, conditions: dict[str, Tensor]) -> Denoiser:
        return guided(self.unet, conditions, self.text, self.sampling.guidance)

    def _start(self, conditions: dict[str, Tensor], frames: int, seed: int) -> Tensor:
        """Of a long video, or of a segment of one."""
        reference = conditions["reference_latent"].cpu()
        height, width = reference.shape[-2:]
        noise = starting_latents(
            (1, 4, frames, height, width),
            torch.Generator().manual_seed(seed),
            reference,
            prior=LONG_PRIOR if self.sampling.noise_prior else 0,
            long_video=True,
        )
        return noise.to(self.device)

    def _drawn(self, poses: Sequence[Pose], clip: DrawnClip) -> Tensor:
        return self._images(draw_poses(poses, *clip.reference.shape[:2]))

    def _images(self, frames: np.ndarray) -> Tensor:
        return as_clip(frames).to(self.device)
