"""Validation: clips that were not trained on, animated by the mean weights, as videos and as PSNR."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from einops import rearrange
from torch import Tensor

from ...diffusion import sample_clip
from ...evaluation.metrics import psnr_star
from ...media.images import as_frames
from ...media.video import video_writer
from ...model import UNet
from ...vae.autoencoder import Autoencoder
from ..conditions import as_network_sees
from ..data.sequences import PreparedSequence
from ..settings import RunSettings

FPS = 8


@dataclass(frozen=True)
class Validation:
    """Animates the first frames of some sequences, each from its first image. folder: for the videos.

    A sequence's image 0 is the reference, and images 1 to validation_frames are to be made.
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
        """Mean PSNR in dB: of the results, of the reference image copied, and of the truth through the VAE."""
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
        }
        with accelerator.autocast():
            result = sample_clip(
                unet,
                conditions,
                self.text.to(device),
                steps=self.run.validation_steps,
                guidance=self.run.guidance,
                prior=0,
                seed=self.seed + number,
                offset=self.offset_noise,
            )
        result = self.autoencoder.decode(result.float()).cpu().clamp(0, 1)
        through_vae = self.autoencoder.decode(sequence.latents(frames)[None]).cpu().clamp(0, 1)
        self._write(self.folder / f"step_{step:08d}" / f"{number:02d}.mp4", reference, poses, result, truth)
        return {
            "PSNR": decibels(result, truth),
            "PSNR of copying the reference": decibels(reference.expand_as(truth), truth),
            "PSNR of the VAE alone": decibels(through_vae, truth),
        }

    def _write(self, path: Path, reference: Tensor, poses: Tensor, result: Tensor, truth: Tensor) -> None:
        """Beside each other: reference, pose, result, truth."""
        still = as_frames(reference)[0]
        with video_writer(path, FPS) as video:
            for pose, made, true in zip(poses.numpy(), as_frames(result), as_frames(truth), strict=True):
                video.write(np.concatenate([still, pose, made, true], axis=1))


def decibels(clip: Tensor, truth: Tensor) -> float:
    """PSNR of all values together; 100 for equal clips, since curves take no infinity. Both 1 3 f H W in [0, 1]."""
    return min(float(psnr_star(*(rearrange(each, "1 c f h w -> 1 c (f h) w") for each in (clip, truth)))), 100.0)
