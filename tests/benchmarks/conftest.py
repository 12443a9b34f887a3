"""Networks of random weights, and clips, for the tables: nothing of them says a word about quality."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from benchmarks import train_ablation
from benchmarks.comparison.separate_reference import SeparateReferenceUNet, metadata_of_separate
from benchmarks.report import random_unet
from tests.benchmarks.made_up import SIZE
from tests.support.tiny_network import TINY
from unianimate_core.checkpoint import to_checkpoint
from unianimate_core.checkpoint.loading import metadata_of
from unianimate_core.drawn_world.characters import draw_clip


@pytest.fixture(scope="module")
def unet():
    return random_unet(TINY, torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def separate():
    torch.manual_seed(0)
    return SeparateReferenceUNet(TINY).requires_grad_(False).eval()


@pytest.fixture(scope="module")
def checkpoints(unet, separate, tmp_path_factory):
    """Of each kind that the tables take, those that are trained alike where their training leaves them."""
    folder = tmp_path_factory.mktemp("checkpoints")
    tensors = to_checkpoint(unet.state_dict(), TINY)
    save_file(tensors, folder / "unified.safetensors", metadata=metadata_of(TINY))
    stored = separate.state_dict(), metadata_of_separate(TINY)
    save_file(stored[0], folder / "separate.safetensors", metadata=stored[1])
    other = {name: tensor * 0.9 for name, tensor in tensors.items()}
    for kind in (train_ablation.UNIFIED, train_ablation.WITHOUT_POSE, train_ablation.SEPARATE):
        path = train_ablation.result_of(folder, kind)
        path.parent.mkdir()
        (path.parent / train_ablation.FACTS).write_text('{"steps": 7}')
        if kind == train_ablation.SEPARATE:
            save_file(stored[0], path, metadata=stored[1])
        else:
            save_file(other, path, metadata=metadata_of(TINY))
    return folder


@pytest.fixture(scope="module")
def clips():
    return [draw_clip(seed, 5, **SIZE, split="test") for seed in range(3)]
