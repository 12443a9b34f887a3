"""The whole path once, in seconds on a CPU, without any download: a tiny network of random weights.

It shows that everything runs and fits together. It shows nothing of quality: the result is noise.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor
from tqdm import tqdm

from . import linear_vae
from .config import ModelConfig
from .diffusion import ddim_sample, guided, starting_latents
from .model import UNet
from .pose import draw_poses
from .training.characters import draw_clip
from .video import check_destination, video_writer

TINY = ModelConfig(
    dim=32,
    multipliers=(1, 2, 4, 4),
    residual_blocks=1,
    attention_levels=(True, True, True, False),
    head_dim=16,
    stem_width=64,
    context_dim=64,
    image_tokens=4,
)
WIDTH, HEIGHT, FRAMES, FPS = 128, 192, 16, 8
GUIDANCE, SEED, PERSON = 2.5, 7, 24
CAPTIONS = ("reference", "driving pose", "result: random weights, so noise", "truth")
CAPTION_HEIGHT = 32


def run_demo(destination: str | os.PathLike, steps: int = 30) -> None:
    """Write reference, driving pose, result and truth side by side. Raises as ddim_timesteps and video_writer do."""
    check_destination(destination)
    started = time.perf_counter()
    unet = random_unet(TINY, SEED)
    size = sum(parameter.numel() for parameter in unet.parameters())
    print(f"A tiny network ({size / 1e6:.1f} million parameters) with RANDOM weights: the result is noise.")

    clip = draw_clip(PERSON, FRAMES, HEIGHT, WIDTH, split="test")
    reference_pose, *poses = draw_poses([clip.reference_pose, *clip.poses], HEIGHT, WIDTH)
    with one_thread():
        result = animate(unet, as_clip([clip.reference]), as_clip([reference_pose]), as_clip(poses), steps)

    with video_writer(destination, FPS) as video:
        for pose, frame, truth in zip(poses, result, clip.frames, strict=True):
            video.write(side_by_side(clip.reference, pose, frame, truth))
    print(f"Wrote {destination}: {FRAMES} frames in {time.perf_counter() - started:.1f} s.")


def random_unet(config: ModelConfig, seed: int) -> UNet:
    """A network with PyTorch's initial weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return UNet(config).requires_grad_(False).eval()


def animate(unet: UNet, reference: Tensor, reference_pose: Tensor, pose: Tensor, steps: int) -> list[np.ndarray]:
    """The frames of a clip, uint8 h w 3. reference, reference_pose: 1 3 1 H W; pose: 1 3 f H W; all in [0, 1].

    Text states and picture embedding are made up, and the VAE is the linear stand-in.
    """
    generator = torch.Generator().manual_seed(SEED)
    text = torch.randn(1, 77, unet.config.context_dim, generator=generator)
    conditions = {
        "image": torch.randn(1, 1, unet.config.context_dim, generator=generator),
        "pose": pose,
        "reference_pose": reference_pose,
        "reference_latent": linear_vae.encode(reference),
    }
    frames, height, width = pose.shape[2:]
    shape = (1, 4, frames, height // 8, width // 8)
    start = starting_latents(shape, generator, conditions["reference_latent"], prior=949)
    with tqdm(desc="denoising", unit=" steps") as bar:

        def progress(step: int, total: int, x0: Tensor) -> None:
            bar.total = total
            bar.update()

        latent = ddim_sample(guided(unet, conditions, text, GUIDANCE), start, steps, callback=progress)
    small = rearrange(linear_vae.decode(latent), "1 c f h w -> f c h w")
    pictures = F.interpolate(small, (height, width), mode="bilinear")
    return list(rearrange(pictures * 255, "f c h w -> f h w c").round().to(torch.uint8).numpy())


@contextmanager
def one_thread() -> Iterator[None]:
    """A network so small gains little from more threads, and beside other programs they wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def as_clip(pictures: list[np.ndarray]) -> Tensor:
    """uint8 h w 3 each; result 1 3 f h w in [0, 1]."""
    return rearrange(torch.from_numpy(np.stack(pictures)).float() / 255, "f h w c -> 1 c f h w")


def side_by_side(*pictures: np.ndarray) -> np.ndarray:
    """The pictures at twice their size, each above its caption."""
    panels = [
        np.pad(picture.repeat(2, axis=0).repeat(2, axis=1), ((0, CAPTION_HEIGHT), (0, 0), (0, 0)))
        for picture in pictures
    ]
    for panel, caption in zip(panels, CAPTIONS, strict=True):
        position = (8, len(panel) - 11)
        cv2.putText(panel, caption, position, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate(panels, axis=1)
