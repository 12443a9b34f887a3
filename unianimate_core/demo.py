"""The whole path once, on a CPU and without any download: UniAnimate-mini animates a drawn person that it never saw."""

from __future__ import annotations

import os
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from tqdm import tqdm

from . import mini
from .checkpoint import load_unet
from .diffusion import sample_clip
from .drawn_world.characters import draw_clip
from .drawn_world.people.motion import FPS
from .evaluation.metrics import psnr, ssim
from .media.images import as_clip, as_frames
from .media.video import check_destination, video_writer
from .model import UNet
from .pose import draw_poses
from .vae.tiny import TinyVAE, load_tiny_vae

NETWORKS = {"transformer": mini.TRANSFORMER, "mamba": mini.MAMBA}
NOISE_SEED = 0
CAPTIONS = ("reference", "driving pose", "result", "truth")
CAPTION_HEIGHT = 32


def run_demo(
    destination: str | os.PathLike,
    *,
    character: int | None = None,
    temporal: str = "transformer",
    steps: int | None = None,
) -> None:
    """Write reference, driving poses, result and truth side by side, and print how near the result is to the truth.

    character: number of a held-out person and motion; temporal: one of NETWORKS; steps: of DDIM. None for the mini's.
    Raises as ddim_timesteps and video_writer do, and FileNotFoundError where the network is absent.
    """
    check_destination(destination)
    started = time.perf_counter()
    unet, vae = load_networks(mini.found(NETWORKS[temporal]), mini.found(mini.VAE))
    size = sum(parameter.numel() for parameter in unet.parameters())
    character = mini.CHARACTER if character is None else character
    print(f"UniAnimate-mini ({size / 1e6:.1f} million parameters, temporal {temporal}), character {character}.")

    clip = draw_clip(character, mini.FRAMES, mini.HEIGHT, mini.WIDTH, split="test", world=mini.WORLD)
    drawn = draw_poses([clip.reference_pose, *clip.poses], mini.HEIGHT, mini.WIDTH)
    reference, truth = as_clip(clip.reference[None]), as_clip(clip.frames)
    steps = mini.STEPS if steps is None else steps
    result = animate(unet, vae, reference, as_clip(drawn[:1]), as_clip(drawn[1:]), steps=steps)

    with video_writer(destination, FPS) as video:
        for pose, frame, true_frame in zip(drawn[1:], as_frames(result), clip.frames, strict=True):
            video.write(side_by_side(clip.reference, pose, frame, true_frame))
    print(f"Wrote {destination}: {mini.FRAMES} frames in {time.perf_counter() - started:.1f} s.")
    print(f"Result against truth:          {likeness(result, truth)}")
    print(f"Reference image against it:  {likeness(reference.expand_as(truth), truth)}")


def load_networks(network: Path, vae: Path) -> tuple[UNet, TinyVAE]:
    """UniAnimate and its VAE, in fp32, ready to use."""
    return load_unet(network, dtype=torch.float32).requires_grad_(False), load_tiny_vae(vae)


@torch.no_grad()
def animate(
    unet: UNet, vae: TinyVAE, reference: Tensor, reference_pose: Tensor, poses: Tensor, *, steps: int
) -> Tensor:
    """The clip, 1 3 f H W. reference, reference_pose: 1 3 1 H W; poses: 1 3 f H W; all in [0, 1].

    Text states are zeros and there is no image embedding, as the small networks were trained.
    """
    conditions = {"pose": poses, "reference_pose": reference_pose, "reference_latent": vae.encode(reference)}
    text = torch.zeros(1, 1, unet.config.context_dim)
    with tqdm(desc="denoising", unit=" steps") as bar:

        def progress(step: int, total: int, x0: Tensor) -> None:
            bar.total = total
            bar.update()

        latents = sample_clip(
            unet,
            conditions,
            text,
            steps=steps,
            guidance=mini.GUIDANCE,
            prior=mini.NOISE_PRIOR,
            seed=NOISE_SEED,
            callback=progress,
        )
    return vae.decode(latents)


def likeness(result: Tensor, truth: Tensor) -> str:
    """Means over the frames. result, truth: 1 3 f H W in [0, 1]."""
    frames = [rearrange(clip, "1 c f h w -> f c h w") for clip in (result, truth)]
    return f"PSNR {psnr(*frames).mean():.1f} dB, SSIM {ssim(*frames).mean():.3f}"


def side_by_side(*images: np.ndarray) -> np.ndarray:
    """The images at twice their size, each above its caption."""
    panels = [
        np.pad(image.repeat(2, axis=0).repeat(2, axis=1), ((0, CAPTION_HEIGHT), (0, 0), (0, 0))) for image in images
    ]
    for panel, caption in zip(panels, CAPTIONS, strict=True):
        position = (8, len(panel) - 11)
        cv2.putText(panel, caption, position, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate(panels, axis=1)
