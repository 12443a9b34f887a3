"""Validation: clips that were not trained on, animated by the EMA weights, as videos and as PSNR."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from einops import rearrange
from torch import Tensor

from ...animator import Animator
from ...evaluation.metrics import psnr_star
from ...media.images import as_frames
from ...media.video import video_writer
from ...model import UNet
from ...sampling import SamplingSettings
from ...vae.autoencoder import Autoencoder
from ..conditions import as_network_sees
from ..data.sequences import PreparedSequence
from ..settings import RunSettings

FPS = 8


@dataclass(frozen=True)
class Validation:
    """Animates the first frames of some sequences, each from its first image. folder: for the videos.

    Image 0 of a sequence is the reference; images 1 to validation_frames are the truth.
    """

    folder: Path
    sequences: list[PreparedSequence]
    autoencoder: Autoencoder
    text: Tensor
    run: RunSettings
    offset_noise: float
    seed: int

    @torch.no_grad()
    def __call__(self, unet: UNet, step: int, accelerator: Accelerator) -> dict[str, float]:
        """Mean PSNR in dB of the results, of the copied reference image, and of the truth through the VAE."""
        unet.eval()
        mine = range(accelerator.process_index, len(self.sequences), accelerator.num_processes)
        scores = [self._animate(unet, number, step, accelerator) for number in mine]
        scores = gather_object(scores)
        return {name: sum(score[name] for score in scores) / len(scores) for name in scores[0]}

    def _animate(self, unet: UNet, number: int, step: int, accelerator: Accelerator) -> dict[str, float]:
        sequence, device = self.sequences[number], accelerator.device
        frames = list(range(1, min(self.run.validation_frames, sequence.length - 1) + 1))
        truth = as_network_sees(sequence.images(frames)[None])
        poses, reference_pose = sequence.poses(frames), sequence.poses([0])
        reference = as_network_sees(sequence.images([0])[None])
        image = sequence.embedding(0)
        conditions = {
            "pose": as_network_sees(poses[None]).to(device),
            "reference_pose": as_network_sees(reference_pose[None]).to(device),
            "reference_latent": sequence.latents([0])[None].to(device),
            "image": None if image is None else image[None].to(device),
            "text": self.text.to(device),
        }
        settings = SamplingSettings(
            seed=self.seed + number,
            steps=self.run.validation_steps,
            guidance_scale=self.run.guidance_scale,
            noise_prior=0,
            offset_noise=self.offset_noise,
        )
        animator = Animator(unet, self.autoencoder, device=device)
        with accelerator.autocast():
            latents = animator.sample(conditions, settings)
        result = animator.decode(latents.float())
        through_vae = animator.decode(sequence.latents(frames)[None])
        self._write(self.folder / f"step_{step:08d}" / f"{number:02d}.mp4", reference, poses, result, truth)
        return {
            "PSNR": decibels(result, truth),
            "PSNR of copying the reference": decibels(reference.expand_as(truth), truth),
            "PSNR of the VAE alone": decibels(through_vae, truth),
        }

    def _write(self, path: Path, reference: Tensor, poses: Tensor, result: Tensor, truth: Tensor) -> None:
        """Reference, pose, result and truth, side by side."""
        still = as_frames(reference)[0]
        with video_writer(path, FPS) as video:
            for pose, made, true in zip(poses.numpy(), as_frames(result), as_frames(truth), strict=True):
                video.write(np.concatenate([still, pose, made, true], axis=1))


def decibels(clip: Tensor, truth: Tensor) -> float:
    """PSNR over all values, at most 100, since curves take no infinity. Both 1 3 f H W in [0, 1]."""
    return min(float(psnr_star(*(rearrange(each, "1 c f h w -> 1 c (f h) w") for each in (clip, truth)))), 100.0)
