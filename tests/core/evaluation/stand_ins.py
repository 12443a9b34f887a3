"""Made-up networks instead of downloaded ones, and small videos. They prove wiring, never a value."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from unianimate_core.evaluation.weights import WeightFile
from unianimate_core.media.video import video_writer


class ReportingNetwork(nn.Module):
    """Takes the input of I3D, and returns its size, options and range as features."""

    def forward(self, x: Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False) -> Tensor:
        seen = [float(x.shape[1]), float(x.shape[2]), float(x.shape[3]), float(x.shape[4])]
        seen += [float(rescale), float(resize), float(return_features)]
        seen += [float(x.min()), float(x.max()), float(x.mean())]
        return torch.tensor([seen])


@cache
def _reporting_network() -> torch.jit.ScriptModule:
    return torch.jit.script(ReportingNetwork())


def write_i3d(folder: Path) -> WeightFile:
    """Writes a stand-in for I3D's file. Returns the entry under which it counts as the published one."""
    path = folder / "i3d_torchscript.pt"
    _reporting_network().save(str(path))
    return entry_of(path, "FVD")


def entry_of(path: Path, metric: str) -> WeightFile:
    content = path.read_bytes()
    return WeightFile(path.name, metric, "nowhere", len(content), hashlib.sha256(content).hexdigest())


def moving_square(frames: int, height: int = 48, width: int = 64, level: int = 200) -> list[np.ndarray]:
    """A square that moves by two pixels per frame."""
    images = [np.full((height, width, 3), 40, np.uint8) for _ in range(frames)]
    for index, image in enumerate(images):
        start = 2 * index % (width - 16)
        image[16:32, start : start + 16] = level
    return images


def write_video(path: Path, frames: Sequence[np.ndarray]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with video_writer(path, 8) as video:
        for frame in frames:
            video.write(frame)
    return path


def write_images(folder: Path, frames: Sequence[np.ndarray]) -> Path:
    """Writes a video as a folder of PNG images."""
    import cv2

    folder.mkdir(parents=True)
    for index, frame in enumerate(frames):
        assert cv2.imwrite(str(folder / f"{index:04d}.png"), frame[..., ::-1])
    return folder
