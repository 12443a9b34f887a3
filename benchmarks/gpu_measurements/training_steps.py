"""Steps of training: UniAnimate-mini, and the released size as a LoRA or whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from unianimate_core.model import UNet
from unianimate_core.training.data.clips import Clips
from unianimate_core.training.loss import DenoisingLoss, empty_text
from unianimate_core.training.network.lora import LoraAdapters
from unianimate_core.training.network.weights import new_unet
from unianimate_core.training.optimizers.groups import make_optimizers
from unianimate_core.training.presets import MINI
from unianimate_core.training.settings import TrainingSettings

from ..report import random_unet
from ..training import made_up_clips
from .measurement import OUT_OF_MEMORY, Bench, Row, costs, memory_columns

LORA_RANK = 16


def mini_step(bench: Bench, batch: int) -> list[Row]:
    """A step of the preset `mini` with another batch: clips of 4 frames of 128x192, Muon, bf16."""
    assert MINI.network is not None
    batch = 2 if bench.tiny else batch
    chosen: dict[str, Any] = MINI.settings | {"batch": batch, "precision": "bf16"}
    settings = TrainingSettings(**chosen)
    unet = new_unet(bench.config if bench.tiny else MINI.network, seed=0, dropout=0.0, device=bench.device)
    clips = made_up_clips(batch, *bench.size(4, settings.width, settings.height)).to(bench.device)
    return stepped(bench, training_step(bench, unet, dict(unet.named_parameters()), clips, settings), clips)


def lora_step(bench: Bench, frames: int) -> list[Row]:
    """A LoRA of rank 16 of the released size."""
    unet = trained_network(bench)
    return large_step(bench, unet, LoraAdapters(unet, LORA_RANK).parameters, frames)


def whole_step(bench: Bench, frames: int) -> list[Row]:
    """All weights of the released size."""
    unet = trained_network(bench).requires_grad_(True)
    return large_step(bench, unet, dict(unet.named_parameters()), frames)


def trained_network(bench: Bench) -> UNet:
    """The network in fp32 with gradient checkpointing, as the preset `paper` trains it; its weights are frozen."""
    unet = random_unet(bench.config, bench.device, torch.float32).train()
    unet.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    unet.backend.gradient_checkpointing = True
    return unet


def large_step(bench: Bench, unet: UNet, parameters: Mapping[str, nn.Parameter], frames: int) -> list[Row]:
    """One clip of 512x768: of a batch of 8, a step of the paper takes eight of these passes."""
    clips = made_up_clips(1, *bench.size(frames, 512, 768)).to(bench.device)
    settings = TrainingSettings(batch=1, precision="bf16")
    return stepped(bench, training_step(bench, unet, parameters, clips, settings), clips)


def training_step(
    bench: Bench, unet: UNet, parameters: Mapping[str, nn.Parameter], clips: Clips, settings: TrainingSettings
) -> Callable[[], object]:
    """Loss, gradients and optimizer in bf16 mixed precision, as the training loop does it on one GPU."""
    loss = DenoisingLoss(unet, empty_text(unet.config).to(bench.device), settings)
    optimizers = make_optimizers(parameters, settings)

    def step() -> None:
        with torch.autocast(bench.device.type, torch.bfloat16):
            value = loss(clips).mean()
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), settings.gradient_clip)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    return step


def stepped(bench: Bench, step: Callable[[], object], clips: Clips) -> list[Row]:
    (cost,) = costs(bench, {"": step}).values()
    if cost is None:
        return [{"s a step": OUT_OF_MEMORY}]
    batch, _, frames = clips.latents.shape[:3]
    row: Row = {"clips": batch, "frames": frames, "s a step": cost.times}
    return [row | {"frames a second": batch * frames / cost.median} | memory_columns(cost)]
