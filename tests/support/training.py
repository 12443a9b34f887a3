"""A run of a few seconds: moving colored squares, a network of one level, a VAE without weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from unianimate_core.checkpoint import to_checkpoint
from unianimate_core.checkpoint.loading import metadata_of
from unianimate_core.config import ModelConfig
from unianimate_core.model import UNet
from unianimate_core.pose import Pose
from unianimate_core.storage.safetensors_file import write_safetensors
from unianimate_core.training.data.prepare import prepare_sequences, prepared_sequences
from unianimate_core.training.data.sources import RawSequence
from unianimate_core.training.loop.run import Run
from unianimate_core.training.loop.trainer import make_accelerator, train_run
from unianimate_core.training.loss import DenoisingLoss, empty_text
from unianimate_core.training.network.weights import NetworkWeights, new_unet
from unianimate_core.training.presets import Preset
from unianimate_core.training.settings import RunSettings, TrainingSettings
from unianimate_core.vae.autoencoder import Autoencoder, open_autoencoder

SIZE = 64  # pixels
FRAMES = 3  # of inputs()
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
    learning_rate=1e-3,
    ema_decay=0.9,
    dropout=0.1,
    precision="fp32",
)
RUN = RunSettings(steps=4, save_every=2, workers=0, validation_clips=0)


TINY = Preset(
    network=NETWORK,
    settings={"width": 64, "height": 64, "frames": (2,), "batch": 2, "precision": "fp32"},
    run={"steps": 2, "validation_clips": 1, "validation_frames": 2, "validation_steps": 2, "workers": 0},
    characters=3,
    motion_frames=3,
)
"""Runs that `train` makes, on drawn people."""


@dataclass(frozen=True)
class Squares:
    """Sequences of 4 frames. In each, a square of one color moves, and a bone moves with it."""

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
    """Make all weights random, where a new network starts its branches at zero. Returns the network."""
    random = torch.Generator().manual_seed(0)
    for parameter in unet.parameters():
        torch.nn.init.normal_(parameter, std=0.1, generator=random)
    return unet


def plain_unet(**options) -> UNet:
    """A network of PyTorch's layers. No branch starts at zero, so its inside has a gradient."""
    torch.manual_seed(0)
    return UNet(NETWORK, **options).train()


def inputs(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """(x, t, conditions) of two clips, random, with all conditions of UNet.forward."""
    random = torch.Generator().manual_seed(1)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64).to(dtype)

    h = SIZE // 8
    conditions = {
        "text": normal(1, 3, NETWORK.context_dim),
        "image": normal(2, 1, NETWORK.context_dim),
        "pose": normal(2, 3, FRAMES, SIZE, SIZE).sigmoid(),
        "reference_pose": normal(2, 3, 1, SIZE, SIZE).sigmoid(),
        "reference_latent": normal(2, 4, 1, h, h),
        "first_frame": normal(2, 3, 1, SIZE, SIZE).sigmoid(),
    }
    return normal(2, 4, FRAMES, h, h), torch.tensor([3, 900]), conditions


def make_run(
    folder: Path,
    settings: TrainingSettings = SETTINGS,
    run: RunSettings = RUN,
    *,
    source: Any = Squares(),
    trained: Callable[[UNet], Any] = NetworkWeights,
) -> Run:
    """A run in a folder. Its data is prepared beside it, once for all runs of a test."""
    data, unet = folder.parent / "data", make_unet(dropout=settings.dropout)
    if settings.lora_rank:
        spread(unet)
    prepare_sequences(source, data, linear())
    return Run(
        folder=folder,
        settings=settings,
        run_settings=run,
        unet=unet,
        trained=trained(unet),
        loss=DenoisingLoss(unet, empty_text(unet.config), settings),
        sequences=prepared_sequences(source, data, linear()),
        identity={"data": source.description()},
    )


def equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def train_in(folder: Path, settings: TrainingSettings = SETTINGS, run: RunSettings = RUN, **options: Any) -> Path:
    """Train a run in a folder; see make_run. Returns the file of the result."""
    return train_run(make_run(folder, settings, run, **options), make_accelerator(settings))


def write_checkpoint(path: Path, unet: UNet) -> Path:
    """The network's weights as a checkpoint, as our trainer writes it. Returns the path."""
    write_safetensors(path, to_checkpoint(unet.state_dict(), unet.config), metadata_of(unet.config))
    return path


def newest(folder: Path) -> dict[str, Tensor]:
    """Every tensor of the newest state, by file and name."""
    state = sorted((folder / "states").iterdir())[-1]
    files = sorted(state.glob("*.safetensors"))
    return {f"{file.name} {name}": tensor for file in files for name, tensor in load_file(file).items()}
