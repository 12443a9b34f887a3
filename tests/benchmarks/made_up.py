"""A network so small that a test can sample it, and how it is sampled."""

from __future__ import annotations

from benchmarks.comparison.animation import Animator, Sampling
from benchmarks.comparison.codec import load_codec

SIZE = {"height": 64, "width": 64}


def animator(unet, **sampling) -> Animator:
    return Animator(unet, load_codec(None, "cpu"), Sampling(**{"steps": 2, "guidance": 2.0} | sampling))
