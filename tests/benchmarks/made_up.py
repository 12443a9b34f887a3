"""A network so small that a test can sample it, and how it is sampled."""

from __future__ import annotations

from benchmarks.comparison.animation import ClipAnimator, Precision
from benchmarks.comparison.codec import load_codec
from unianimate_core.sampling import SamplingSettings

SIZE = {"height": 64, "width": 64}


def animator(unet, precision: Precision = "fp32", **settings) -> ClipAnimator:
    settings = SamplingSettings(**{"steps": 2, "guidance_scale": 2.0} | settings)
    return ClipAnimator(unet, load_codec(None, "cpu"), settings, precision)
