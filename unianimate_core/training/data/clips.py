"""Training clips: cut from prepared sequences, with their noise and the conditions that guide them.

The random numbers of a clip depend only on the seed and the clip's position. So a run continues by its step number,
and the number of processes changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from ...diffusion import TIMESTEPS, starting_noise
from ..settings import TrainingSettings
from .dropping import DROPPABLE, draw_kept_conditions
from .sequences import PreparedSequence
from .workers import data_loader

_ORDER, _STEP, _CLIP = range(3)  # streams of random numbers


@dataclass(frozen=True)
class Clips:
    """A batch of b clips of f frames: latent size h w, image size H W.

    latents, noise: b 4 f h w; t: b; pose: b f H W 3, reference_pose, first_frame: b 1 H W 3, all uint8;
    reference_latent: b 4 1 h w; image: b 1 C or None; kept: b bool for each of DROPPABLE; names: of the sequences.
    """

    latents: Tensor
    noise: Tensor
    t: Tensor
    pose: Tensor
    reference_pose: Tensor
    reference_latent: Tensor
    first_frame: Tensor
    image: Tensor | None
    kept: dict[str, Tensor]
    names: list[str]

    def to(self, device: torch.device) -> Clips:
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Clips:
        """A copy that moves to a GPU while it computes. DataLoader calls this."""
        return self._map(Tensor.pin_memory)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Clips:
        tensors = {name: getattr(self, name) for name in _TENSORS}
        changed: dict[str, Any] = {name: None if value is None else change(value) for name, value in tensors.items()}
        return Clips(kept={name: change(mask) for name, mask in self.kept.items()}, names=self.names, **changed)


_TENSORS = ("latents", "noise", "t", "pose", "reference_pose", "reference_latent", "first_frame", "image")


@dataclass(frozen=True)
class ClipDraw:
    """What is drawn at random for one clip. reference, frames: numbers of images of the sequence; t: timestep.

    kept: whether the clip keeps each of DROPPABLE.
    """

    reference: int
    frames: list[int]
    t: int
    kept: dict[str, bool]
    noise_seed: int


class TrainingClips(Dataset):
    """The clip at each position, as a batch of one. position = step * batch + number of the clip in its step."""

    def __init__(self, sequences: Sequence[PreparedSequence], settings: TrainingSettings):
        self.sequences, self.settings = sequences, settings

    def __getitem__(self, position: int) -> Clips:
        settings = self.settings
        round_, place = divmod(position, len(self.sequences))
        sequence = self.sequences[_order(settings.seed, round_, len(self.sequences))[place]]
        count, t = self._frames_and_timestep(position)
        random = _random(settings.seed, _CLIP, position)
        draw = ClipDraw(
            reference=int(random.integers(sequence.length)),
            frames=draw_frames(random, range(sequence.stills, sequence.length), count, settings.largest_stride),
            t=t,
            kept=draw_kept_conditions(random, settings),
            noise_seed=int(random.integers(2**63)),
        )
        return read_clip(sequence, draw, settings.offset_noise)

    def _frames_and_timestep(self, position: int) -> tuple[int, int]:
        """The number of frames and the timestep of a clip.

        The clips of a step have the same number of frames. Their timesteps are spread evenly from a random start, so
        each step sees both little and much noise. Source: Kingma et al. 2021, Variational Diffusion Models,
        appendix I.1.
        """
        step, number = divmod(position, self.settings.batch)
        random = _random(self.settings.seed, _STEP, step)
        frames = int(random.choice(self.settings.frames))
        return frames, int((random.random() + number / self.settings.batch) % 1 * TIMESTEPS)


@lru_cache(maxsize=2)
def _order(seed: int, round_: int, count: int) -> np.ndarray:
    """Every sequence once, in a new order each round."""
    return _random(seed, _ORDER, round_).permutation(count)


def _random(seed: int, stream: int, number: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64([seed, stream, number]))


def draw_frames(random: np.random.Generator, motion: range, count: int, largest_stride: int) -> list[int]:
    """`count` evenly spaced frames of a motion, forward in time."""
    length = len(motion)
    largest = 1 if count == 1 else (length - 1) // (count - 1)
    assert largest >= 1, "sources refuse sequences that are too short"
    stride = int(random.integers(1, min(largest, largest_stride) + 1))
    start = int(random.integers(length - stride * (count - 1)))
    return [motion[start + stride * index] for index in range(count)]


def read_clip(sequence: PreparedSequence, draw: ClipDraw, offset_noise: float) -> Clips:
    """A batch of one: the drawn frames of a sequence, guided by one of its images."""
    latents = sequence.latents(draw.frames)[None]
    image = sequence.embedding(draw.reference)
    noise = starting_noise(tuple(latents.shape), torch.Generator().manual_seed(draw.noise_seed), offset_noise)  # pyright: ignore[reportArgumentType]
    return Clips(
        latents=latents,
        noise=noise,
        t=torch.tensor([draw.t]),
        pose=sequence.poses(draw.frames)[None],
        reference_pose=sequence.poses([draw.reference])[None],
        reference_latent=sequence.latents([draw.reference])[None],
        first_frame=sequence.images(draw.frames[:1])[None],
        image=None if image is None else image[None],
        kept={name: torch.tensor([draw.kept[name]]) for name in DROPPABLE},
        names=[sequence.name],
    )


def collate(clips: Sequence[Clips]) -> Clips:
    """Several batches as one."""

    def joined(name: str) -> Tensor | None:
        values = [getattr(clip, name) for clip in clips]
        return None if values[0] is None else torch.cat(values)

    tensors: dict[str, Any] = {name: joined(name) for name in _TENSORS}
    kept = {name: torch.cat([clip.kept[name] for clip in clips]) for name in DROPPABLE}
    return Clips(kept=kept, names=[name for clip in clips for name in clip.names], **tensors)


class _Positions(Sampler):
    """The positions of this process's clips for each pass, from a step on, without end."""

    def __init__(self, first_step: int, batch: int, at_once: int, process: int, processes: int):
        self.first_step, self.batch, self.at_once = first_step, batch, at_once
        self.process, self.processes = process, processes

    def __iter__(self) -> Iterator[list[int]]:
        step, share = self.first_step, self.batch // self.processes
        while True:
            first = step * self.batch + self.process * share
            for start in range(first, first + share, self.at_once):
                yield list(range(start, start + self.at_once))
            step += 1


def batches(
    clips: TrainingClips, first_step: int, at_once: int, *, process: int = 0, processes: int = 1, workers: int = 0
) -> Generator[Clips]:
    """The batches of one process from a step on, without end. Workers read ahead until the generator is closed.

    at_once: clips per batch. process: the number of this process, of `processes`.
    """
    positions = _Positions(first_step, clips.settings.batch, at_once, process, processes)
    pinned = torch.cuda.is_available()
    return data_loader(clips, workers, batch_sampler=positions, collate_fn=collate, pin_memory=pinned)
