"""The released checkpoint fits the network: every name and shape, without its 5.67 GB."""

from __future__ import annotations

import pytest
import torch

from tests.support.recorded import released_shapes
from unianimate_core.checkpoint import load_unet, to_checkpoint, to_modules
from unianimate_core.config import RELEASED, ModelConfig


@pytest.fixture(scope="module")
def released() -> dict[str, torch.Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in released_shapes().items()}


def test_the_configuration_is_read_off_the_shapes(released):
    """A user never types one."""
    assert ModelConfig.from_state_dict(released) == RELEASED


def test_the_released_configuration_is_that_of_the_published_file():
    """Benchmarks and messages rely on it. The numbers are those of the authors' code."""
    assert RELEASED.widths == (320, 640, 1280, 1280)
    assert RELEASED.attention_levels == (True, True, True, False)
    assert (RELEASED.residual_blocks, RELEASED.head_dim, RELEASED.stem_width) == (2, 64, 512)
    assert (RELEASED.context_dim, RELEASED.image_tokens, RELEASED.mamba) == (1024, 4, None)


def test_all_released_tensors_load(released):
    """Loading is strict: 1,544 names, none missing, none left over, 1.4166 billion parameters."""
    assert len(released) == 1544
    unet = load_unet(released, device="meta")
    assert sum(parameter.numel() for parameter in unet.parameters()) == sum(t.numel() for t in released.values())
    assert sum(parameter.numel() for parameter in unet.parameters()) == pytest.approx(1.4166e9, rel=1e-4)


def test_to_modules_and_back_gives_the_released_names(released):
    """Files of ModelSave and of the trainer must load in the authors' code too."""
    config = ModelConfig.from_state_dict(released)
    stored = to_checkpoint(to_modules(released, config), config)
    assert {name: list(tensor.shape) for name, tensor in stored.items()} == released_shapes()
