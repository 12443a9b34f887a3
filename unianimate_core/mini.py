"""UniAnimate-mini, the small network that comes with the pack: its files, its world, and how it is sampled best.

models/mini/README.md says how it was trained.
"""

from __future__ import annotations

from pathlib import Path

from .drawn_world.world import WorldSettings
from .sampling import SamplingSettings

FOLDER = Path(__file__).resolve().parents[1] / "models" / "mini"
NETWORKS, VAES = FOLDER / "unianimate", FOLDER / "vae"
TRANSFORMER = NETWORKS / "unianimate_mini.safetensors"
MAMBA = NETWORKS / "unianimate_mini_mamba.safetensors"
VAE = VAES / "unianimate_mini_vae.safetensors"

WIDTH, HEIGHT, FRAMES = 128, 192, 16
WORLD = WorldSettings(small_share=0.0)
CHARACTER = 8
"""The number of a held-out person and motion, to begin with."""
SETTINGS = SamplingSettings(steps=10, guidance_scale=1.0, noise_prior=0)


def network_file(temporal: str = "transformer") -> Path:
    """The network's file with this temporal module. Raises ValueError, or FileNotFoundError if it is absent."""
    files = {"transformer": TRANSFORMER, "mamba": MAMBA}
    if temporal not in files:
        raise ValueError(f"temporal is {temporal!r}: choose transformer or mamba")
    return found(files[temporal])


def found(path: Path) -> Path:
    """The path of one of the mini's files. Raises FileNotFoundError if it is absent."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is absent: it comes with the repository, so restore it (git checkout {FOLDER}) or clone again"
        )
    return path
