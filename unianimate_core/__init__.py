"""UniAnimate outside ComfyUI: a reference image of a person and driving poses in, a video of that person out.

    from unianimate_core import SamplingSettings, UniAnimatePipeline

    pipe = UniAnimatePipeline.from_files(unet="unianimate.safetensors", vae="vae.safetensors", clip="open_clip.bin")
    frames = pipe(reference_image, reference_pose, poses, SamplingSettings(seed=7))

Read next: pipeline.py, then model/unet.py beside the paper. docs/architecture.md is the map.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checkpoint import load_unet
    from .pipeline import UniAnimatePipeline
    from .sampling import SamplingSettings

__all__ = ["SamplingSettings", "UniAnimatePipeline", "load_unet"]

_HOMES = {"SamplingSettings": ".sampling", "UniAnimatePipeline": ".pipeline", "load_unet": ".checkpoint"}


def __getattr__(name: str) -> Any:
    """Import on first use: a host that imports the package must not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
