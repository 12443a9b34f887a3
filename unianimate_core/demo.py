"""The whole path once, on any machine, without a download: UniAnimate-mini animates a drawn person it never saw."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import numpy as np

from . import mini
from .drawn_world.characters import draw_clip
from .drawn_world.people.motion import FPS
from .evaluation.metrics import psnr, ssim
from .media.images import as_images
from .media.video import check_destination, video_writer
from .pipeline import UniAnimatePipeline
from .pose import draw_poses
from .pose.opencv import cv2

CAPTIONS = ("reference", "driving pose", "result", "truth")
CAPTION_HEIGHT = 32


def run_demo(
    destination: str | os.PathLike,
    *,
    character: int = mini.CHARACTER,
    temporal: str = "transformer",
    steps: int = mini.SETTINGS.steps,
) -> None:
    """Write reference, driving poses, result and truth side by side; print how close the result is to the truth.

    character: the number of a held-out person and motion; temporal: transformer or mamba; steps: of DDIM.
    Raises ValueError, FileNotFoundError and OSError as the pipeline and video_writer do.
    """
    check_destination(destination)
    settings = replace(mini.SETTINGS, steps=steps)
    started = time.perf_counter()
    pipe = UniAnimatePipeline.mini(temporal)
    size = sum(parameter.numel() for parameter in pipe.unet.parameters())
    print(f"UniAnimate-mini ({size / 1e6:.1f} million parameters, temporal {temporal}), character {character}.")

    clip = draw_clip(character, mini.FRAMES, mini.HEIGHT, mini.WIDTH, split="test", world=mini.WORLD)
    drawn = draw_poses(clip.poses, mini.HEIGHT, mini.WIDTH)
    result = pipe(clip.reference, clip.reference_pose, drawn, settings)

    with video_writer(destination, FPS) as video:
        for pose, frame, true_frame in zip(drawn, result, clip.frames, strict=True):
            video.write(side_by_side(clip.reference, pose, frame, true_frame))
    print(f"Wrote {destination}: {mini.FRAMES} frames in {time.perf_counter() - started:.1f} s.")
    print(f"Result against truth:          {likeness(result, clip.frames)}")
    print(f"Reference image against truth: {likeness(np.broadcast_to(clip.reference, clip.frames.shape), clip.frames)}")


def likeness(result: np.ndarray, truth: np.ndarray) -> str:
    """Means over the frames. result, truth: uint8 f H W 3."""
    clips = as_images(np.ascontiguousarray(result)), as_images(truth)
    return f"PSNR {psnr(*clips).mean():.1f} dB, SSIM {ssim(*clips).mean():.3f}"


def side_by_side(*images: np.ndarray) -> np.ndarray:
    """The images, uint8 h w 3, at twice their size, each above its caption."""
    panels = [
        np.pad(image.repeat(2, axis=0).repeat(2, axis=1), ((0, CAPTION_HEIGHT), (0, 0), (0, 0))) for image in images
    ]
    for panel, caption in zip(panels, CAPTIONS, strict=True):
        position = (8, len(panel) - 11)
        cv2.putText(panel, caption, position, cv2.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1, cv2.LINE_AA)
    return np.concatenate(panels, axis=1)
