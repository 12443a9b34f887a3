"""Presets: a network and how to train it. models/mini/README.md lists the results of the small ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from .. import mini
from ..config import MambaConfig, ModelConfig
from .settings import TrainingError


@dataclass(frozen=True)
class Preset:
    """network: the configuration of a new network; None if the run starts from a checkpoint.
    settings, run: values of TrainingSettings and RunSettings that differ from the defaults.
    characters: number of drawn people, each with a motion of motion_frames frames. world: values of WorldSettings.
    """

    network: ModelConfig | None
    settings: dict[str, Any]
    run: dict[str, Any]
    characters: int = 0
    motion_frames: int = 16
    world: dict[str, Any] = field(default_factory=dict)


NEW_MAMBA = MambaConfig(expand=1, keep_ff=False)
"""The temporal Mamba of a new network."""

MINI_NETWORK = ModelConfig(
    dim=32,
    multipliers=(2, 2, 3),
    residual_blocks=1,
    attention_levels=(False, True, True),
    head_dim=32,
    stem_width=32,
    context_dim=32,
    image_tokens=1,
)

MINI = Preset(
    network=MINI_NETWORK,
    settings={
        "width": mini.WIDTH,
        "height": mini.HEIGHT,
        "frames": (1, 4, 4, 4, 8),
        "largest_stride": 2,
        "batch": 8,
        "optimizer": "muon",
        "learning_rate": 0.01,
        "warm_up": 100,
        "weighting": "x0",
        "condition_drop": 0.0,
        "first_frame_drop": 0.8,
        "all_dropped": 0.05,
        "all_kept": 0.0,
        "ema_decay": 0.998,
        "dropout": 0.0,
    },
    run={
        "steps": 10_000,
        "cool_down": 0.8,
        "workers": 1,
        "save_every": 100,
        "validate_every": 1_000,
        "validation_frames": 8,
        "validation_steps": 10,
        "guidance_scale": 1.0,
    },
    characters=1_830,
    motion_frames=8,
    world={"small_share": mini.WORLD.small_share},
)

# Trains the temporal Mamba further, from a checkpoint that to-mamba made of the mini.
MINI_MAMBA = replace(
    MINI,
    network=None,
    settings=MINI.settings | {"learning_rate": 0.004, "warm_up": 50},
    run=MINI.run | {"steps": 1_700, "cool_down": 1.0},
)

# For networks that are trained the same way to be compared: a step takes about half as long as the mini's.
ABLATION = replace(
    MINI,
    network=replace(MINI_NETWORK, multipliers=(1, 2, 2)),
    settings=MINI.settings | {"width": 64, "height": 128},
    run=MINI.run | {"steps": 500},
    characters=640,
)

PRESETS = {
    # Trains the released weights further on the user's videos, as in sections 3.2 and 4.1.
    "paper": Preset(
        network=None,
        settings={},
        run={"steps": 20_000, "clips_at_once": 1, "gradient_checkpointing": True, "save_every": 100},
    ),
    "mini": MINI,
    "mini-mamba": MINI_MAMBA,
    "ablation": ABLATION,
}


def preset(name: str) -> Preset:
    """The preset of a name. Raises TrainingError if there is none."""
    if name not in PRESETS:
        raise TrainingError(f"there is no preset {name!r}: choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
