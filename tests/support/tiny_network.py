"""The smallest network that has every kind of layer."""

from __future__ import annotations

from unianimate_core.config import ModelConfig

TINY = ModelConfig(
    dim=32,
    multipliers=(1, 2),
    residual_blocks=1,
    attention_levels=(True, False),
    head_dim=16,
    stem_width=32,
    context_dim=32,
    image_tokens=4,
)
