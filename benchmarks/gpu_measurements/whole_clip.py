"""A whole clip by the pipeline: encode, sample, decode."""

from __future__ import annotations

import numpy as np

from unianimate_core import SamplingSettings, UniAnimatePipeline, mini
from unianimate_core.diffusion import ddim_timesteps
from unianimate_core.guidance import read_guidance
from unianimate_core.vae.autoencoder import open_autoencoder

from ..report import seconds
from .measurement import Bench, Row, peak_and_working

CLIP = (32, 512, 768)  # frames, width, height
STEPS = 30  # of DDIM, as the authors set it: 31 timesteps


def clip(bench: Bench) -> list[Row]:
    """Each stage in turn, the first time and once more. No CLIP, and a VAE of TAESD's form."""
    frames, width, height = bench.size(*CLIP)
    settings = SamplingSettings(steps=2 if bench.tiny else STEPS)
    pipe = UniAnimatePipeline(bench.network(bench.dtype("fp16")), open_autoencoder(mini.VAE), device=bench.device)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (frames + 2, height, width, 3), dtype=np.uint8)
    guidance = read_guidance(images[0], images[1], images[2:])
    results = {}

    def stages() -> dict[str, float]:
        works = {
            "encode, s": lambda: results.update(conditions=pipe.encode(guidance)),
            "sample, s": lambda: results.update(latents=pipe.sample(results["conditions"], settings)),
            "decode, s": lambda: results.update(images=pipe.decode(results["latents"])),
        }
        return {name: seconds(work, bench.device) for name, work in works.items()}

    taken = {"the first": stages(), "the next": stages()}
    peak, _ = peak_and_working(stages, bench.device)
    timesteps = len(ddim_timesteps(settings.steps))
    rows: list[Row] = [
        {"run": name, "whole, s": sum(own.values()), **own, "s a step": own["sample, s"] / timesteps}
        for name, own in taken.items()
    ]
    return rows if peak is None else [row | {"peak GB": peak / 1e9} for row in rows]
