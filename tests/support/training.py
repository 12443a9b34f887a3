"""A run that takes a moment: colored squares that move, a network of one level, a VAE without weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from unianimate_core.config import ModelConfig
from unianimate_core.model import UNet
from unianimate_core.pose import Pose
from unianimate_core.training.data.prepare import prepare, prepared
from unianimate_core.training.data.sources import RawSequence
from unianimate_core.training.loop.job import Job
from unianimate_core.training.loop.trainer import make_accelerator, train
from unianimate_core.training.loss import DenoisingLoss, empty_text
from unianimate_core.training.network.weights import NetworkWeights, new_unet
from unianimate_core.training.settings import RunSettings, TrainingSettings
from unianimate_core.vae.autoencoder import Autoencoder, open_autoencoder

SIZE = 64
NETWORK = ModelConfig(
    dim=32,
    multipliers=(1,),
    residual_blocks=1,
    attention_levels=(True,),
    head_dim=16,
    stem_width=32,
    context_dim=16,
    image_tokens=4,
)
SETTINGS = TrainingSettings(
    width=SIZE,
    height=SIZE,
    frames=(2,),
    largest_stride=2,
    batch=2,
    rate=1e-3,
    ema_decay=0.9,
    dropout=0.1,
    precision="fp32",
)
RUN = RunSettings(steps=4, save_every=2, workers=0, validation_clips=0)


@dataclass(frozen=True)
class Squares:
    """Sequences of 4 frames, in each of which a square of one color moves, and a bone with it."""

    count: int = 3
    stills: ClassVar[int] = 0

    @property
    def names(self) -> list[str]:
        return [f"square {index}" for index in range(self.count)]

    def key(self, index: int) -> str:
        return f"square-{index}-of-any"

    def read(self, index: int) -> RawSequence:
        images = [np.full((SIZE, SIZE, 3), 40, np.uint8) for _ in range(4)]
        for frame, image in enumerate(images):
            image[16:48, 8 * frame : 8 * frame + 24] = np.random.default_rng(index).integers(0, 256, 3)
        return RawSequence(images, [_bone(frame / 8) for frame in range(4)])

    def description(self) -> dict[str, Any]:
        return {"kind": "squares", "count": self.count}


def _bone(x: float) -> Pose:
    body = np.full((20, 2), -1.0)
    body[1], body[2] = (x, 0.3), (x + 0.3, 0.6)
    return replace(Pose.empty(), body=body, body_score=None)


def linear() -> Autoencoder:
    return open_autoencoder("linear")


def make_unet(network: ModelConfig = NETWORK, dropout: float = SETTINGS.dropout) -> UNet:
    return new_unet(network, seed=0, dropout=dropout, device=torch.device("cpu"))


def spread(unet: UNet) -> UNet:
    """Random weights throughout, where a new network begins its branches with zeros."""
    random = torch.Generator().manual_seed(0)
    for parameter in unet.parameters():
        torch.nn.init.normal_(parameter, std=0.1, generator=random)
    return unet


def make_job(
    folder: Path,
    settings: TrainingSettings = SETTINGS,
    run: RunSettings = RUN,
    *,
    source: Any = Squares(),
    trained: Callable[[UNet], Any] = NetworkWeights,
) -> Job:
    """A run in a folder; the data is prepared beside it, once for all runs of a test."""
    data, unet = folder.parent / "data", make_unet(dropout=settings.dropout)
    if settings.lora_rank:
        spread(unet)
    prepare(source, data, linear())
    return Job(
        folder=folder,
        settings=settings,
        run=run,
        unet=unet,
        trained=trained(unet),
        loss=DenoisingLoss(unet, empty_text(unet.config), settings),
        sequences=prepared(source, data, linear()),
        identity={"data": source.description()},
    )


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def run(folder: Path, settings: TrainingSettings = SETTINGS, run: RunSettings = RUN, **options: Any) -> Path:
    return train(make_job(folder, settings, run, **options), make_accelerator(settings))


def newest(folder: Path) -> dict[str, Tensor]:
    """Every tensor of the newest state, by file and name."""
    state = sorted((folder / "states").iterdir())[-1]
    files = sorted(state.glob("*.safetensors"))
    return {f"{file.name} {name}": tensor for file in files for name, tensor in load_file(file).items()}
