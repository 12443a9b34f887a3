"""A network so small that a test can sample it, and how it is sampled."""

from __future__ import annotations

from benchmarks.animation import Animator, Sampling
from benchmarks.codec import load_codec
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
SIZE = {"height": 64, "width": 64}


def animator(unet, **sampling) -> Animator:
    return Animator(unet, load_codec(None, "cpu"), Sampling(**{"steps": 2, "guidance": 2.0} | sampling))
