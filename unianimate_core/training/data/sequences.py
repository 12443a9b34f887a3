"""Prepared sequences: one person in one place for some frames, encoded once, so that training only reads.

Each is a safetensors file: latents n 4 h w in half precision, image embeddings n C if there are any, drawn poses (PNG,
lossless) and images (JPEG, for the first frame). Poses and images are packed one after the other, with their ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ...pose.opencv import cv2
from ...storage.safetensors_file import write_safetensors
from ..settings import TrainingError

JPEG_QUALITY = 95


@dataclass(frozen=True)
class PreparedSequence:
    """The file of one sequence, read in pieces. name: for errors and curves. length: number of images.

    stills: number of images at the beginning that belong to no motion and may only be references.
    """

    path: Path
    name: str
    length: int
    stills: int = 0

    def latents(self, frames: Sequence[int]) -> Tensor:
        """4 f h w, fp32, latent units."""
        with safe_open(self.path, framework="pt") as file:
            part = file.get_slice("latents")[min(frames) : max(frames) + 1]
        return part[[frame - min(frames) for frame in frames]].float().movedim(0, 1)

    def embedding(self, frame: int) -> Tensor | None:
        """The embedding of one image: 1 C, or None if the file has none."""
        with safe_open(self.path, framework="pt") as file:
            if "embeddings" not in file.keys():  # noqa: SIM118  (no mapping)
                return None
            return file.get_tensor("embeddings")[frame : frame + 1].float()

    def poses(self, frames: Sequence[int]) -> Tensor:
        """Drawn poses: uint8 f H W 3, RGB."""
        return self._unpack("poses", frames)

    def images(self, frames: Sequence[int]) -> Tensor:
        """uint8 f H W 3, RGB."""
        return self._unpack("images", frames)

    def _unpack(self, kind: str, frames: Sequence[int]) -> Tensor:
        with safe_open(self.path, framework="pt") as file:
            ends = [0, *file.get_tensor(f"{kind}.ends").tolist()]
            packed = file.get_slice(f"{kind}.packed")
            pieces = [packed[ends[frame] : ends[frame + 1]] for frame in frames]
        # Only OpenCV 4.11 and newer can decode to RGB.
        images = [cv2.imdecode(piece.numpy(), cv2.IMREAD_COLOR)[..., ::-1] for piece in pieces]
        return torch.from_numpy(np.stack(images))


def open_sequence(path: Path, name: str) -> PreparedSequence | None:
    """The sequence of a file, or None if the file is absent or damaged and must be written again."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return PreparedSequence(path, name, file.get_slice("latents").get_shape()[0])
    except (SafetensorError, OSError):
        return None


def write_sequence(
    path: Path, latents: Tensor, poses: Sequence[np.ndarray], images: Sequence[np.ndarray], embeddings: Tensor | None
) -> None:
    """Write a sequence of n images. latents: n 4 h w; poses, images: uint8 H W 3, RGB; embeddings: n C or None."""
    if not len(latents) == len(poses) == len(images):
        raise TrainingError(f"{path.name}: {len(latents)} latents, {len(poses)} poses, {len(images)} images")
    tensors = {"latents": latents.half()}
    if embeddings is not None:
        tensors["embeddings"] = embeddings.half()
    jpeg = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    for kind, frames, suffix, options in (("poses", poses, ".png", []), ("images", images, ".jpg", jpeg)):
        encoded = [cv2.imencode(suffix, np.ascontiguousarray(frame[..., ::-1]), options)[1] for frame in frames]
        tensors[f"{kind}.packed"] = torch.from_numpy(np.concatenate(encoded))
        tensors[f"{kind}.ends"] = torch.tensor(np.cumsum([len(piece) for piece in encoded]))
    write_safetensors(path, tensors)


def file_name(key: str) -> str:
    return f"{key[:32]}.safetensors"
