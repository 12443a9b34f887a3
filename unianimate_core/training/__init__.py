"""Training of the network, a part of it or a LoRA, on drawn people or on videos; and of the tiny VAE.

    from unianimate_core.training import TrainingJob, train

    checkpoint = train(TrainingJob("build/run", vae="vae.safetensors", preset="mini"))

How a run flows, in the order in which the files depend on each other:

    settings, states            what decides the outcome; what a run continues from
    presets, job                named settings; TrainingJob, everything that can be asked for
    data/                       drawn people or videos -> latents on disk -> clips
    network/                    what learns: all weights, the temporal modules, or a LoRA
    conditions, distillation, loss    clips through the network -> the loss
    optimizers/                 gradients -> weights
    loop/                       step after step, with states, curves and validation
    vae/                        the training of the tiny VAE, apart from the rest
    start                       train(job): loads, prepares, and runs the loop

Read job.py first, then make_run in start.py, then loop/trainer.py. Each file uses only those above it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .job import TrainingJob
    from .start import train

__all__ = ["TrainingJob", "train"]

_HOMES = {"TrainingJob": ".job", "train": ".start"}


def __getattr__(name: str) -> Any:
    """Import on first use: settings and presets do not wait for what only training needs."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
