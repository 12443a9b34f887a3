"""UniAnimate-mini, which comes with the pack: its files, what it was trained on, and how it is best sampled.

Its people are drawn (training/characters.py). models/mini/README.md says how it was made.
"""

from __future__ import annotations

from pathlib import Path

from .drawn_world.world import WorldSettings

FOLDER = Path(__file__).resolve().parents[1] / "models" / "mini"
NETWORKS, VAES = FOLDER / "unianimate", FOLDER / "vae"
TRANSFORMER = NETWORKS / "unianimate_mini.safetensors"
MAMBA = NETWORKS / "unianimate_mini_mamba.safetensors"
VAE = VAES / "unianimate_mini_vae.safetensors"

WIDTH, HEIGHT, FRAMES = 128, 192, 16
WORLD = WorldSettings(small_share=0.0)
CHARACTER = 8
"""A held-out person and motion, to begin with."""
STEPS, GUIDANCE, NOISE_PRIOR = 10, 1.0, 0


def found(path: Path) -> Path:
    """The path of one of these files. Raises FileNotFoundError where it is absent."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is absent: it comes with the repository, so get it back (git checkout {FOLDER}) or clone anew"
        )
    return path
