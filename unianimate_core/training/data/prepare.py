"""Preparing data: other processes read or draw it, this one encodes it, once, into files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.utils.data import Dataset
from tqdm import tqdm

from ...pose import draw_poses
from ...storage.content_hash import content_hash
from ...vae.autoencoder import Autoencoder
from ..settings import TrainingError
from .sequences import PreparedSequence, file_name, open_sequence, write_sequence
from .sources import RawSequence, Source
from .workers import data_loader

FRAMES_AT_ONCE = 16
POSE_THREADS = 1  # per process


class _RawSequences(Dataset):
    """Raw sequences with their drawn poses. Errors are returned, since another process would lose their text."""

    def __init__(self, source: Source, indices: Sequence[int]):
        self.source, self.indices = source, indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: int) -> tuple[int, RawSequence, np.ndarray] | Exception:
        index = self.indices[position]
        try:
            raw = self.source.read(index)
            height, width = raw.images[0].shape[:2]
            return index, raw, draw_poses(raw.poses, height, width, threads=POSE_THREADS)
        except (ValueError, OSError, ImportError) as error:
            return error


def _unchanged(item: Any) -> Any:
    return item


def prepare_sequences(
    source: Source,
    folder: str | os.PathLike,
    autoencoder: Autoencoder,
    *,
    clip: Any = None,
    workers: int = 0,
    share: tuple[int, int] = (0, 1),
) -> None:
    """Encode every sequence of a source that the folder does not hold yet.

    clip: a ClipEncoder, whose image embeddings are then stored too. share: (number of this process, how many there
    are). Raises what the source raises for data that it cannot read; finished sequences stay.
    """
    suffix = _encoders_hash(autoencoder, clip)
    missing = [
        index
        for index in range(share[0], len(source.names), share[1])
        if open_sequence(_path(source, folder, index, suffix), "") is None
    ]
    raws = _RawSequences(source, missing)
    results = data_loader(raws, min(workers, len(missing)), batch_size=None, collate_fn=_unchanged)
    title = "preparing data" if share[0] == 0 and missing else None
    with closing(results), tqdm(results, desc=title, unit=" sequences", total=len(missing), disable=not title) as bar:
        for result in bar:
            if isinstance(result, Exception):
                raise result
            index, raw, poses = result
            encoded = list(_encode(source.names[index], raw.images, autoencoder, clip))
            latents = torch.cat([latent for latent, _ in encoded])
            embeddings = None
            if clip is not None:
                embeddings = torch.cat([embedding for _, embedding in encoded if embedding is not None])
            write_sequence(_path(source, folder, index, suffix), latents, poses, raw.images, embeddings)


def prepared_sequences(
    source: Source, folder: str | os.PathLike, autoencoder: Autoencoder, clip: Any = None
) -> list[PreparedSequence]:
    """The sequences of a source, once all are prepared. Raises TrainingError if one is missing."""
    suffix = _encoders_hash(autoencoder, clip)
    found = [open_sequence(_path(source, folder, index, suffix), name) for index, name in enumerate(source.names)]
    if None in found:
        raise TrainingError(
            f"{folder} lacks data that another process prepared: put the run's folder, or its cache, on storage that "
            "all machines share"
        )
    return [replace(sequence, stills=source.stills) for sequence in found if sequence is not None]


def _encode(
    name: str, images: Sequence[np.ndarray], autoencoder: Autoencoder, clip: Any
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Pieces of latents, n 4 h w, and of image embeddings, n C."""
    for start in range(0, len(images), FRAMES_AT_ONCE):
        frames = torch.from_numpy(np.stack(images[start : start + FRAMES_AT_ONCE])).float() / 255
        frames = rearrange(frames, "f h w c -> 1 c f h w")
        latents = rearrange(autoencoder.encode(frames), "1 c f h w -> f c h w").cpu()
        if not latents.isfinite().all():
            raise ValueError(f"the VAE's latents of {name} are not finite: check its images, or give another VAE")
        embedding = None if clip is None else clip.image(rearrange(frames, "1 c f h w -> f c h w"))[:, 0].cpu()
        yield latents, embedding


def _encoders_hash(autoencoder: Autoencoder, clip: Any) -> str:
    return content_hash(autoencoder.identity, None if clip is None else (clip.path.name, clip.path.stat().st_size))


def _path(source: Source, folder: str | os.PathLike, index: int, suffix: str) -> Path:
    return Path(folder) / file_name(content_hash(source.key(index), suffix))
