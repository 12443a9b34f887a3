"""Named runs: a network, how it is trained, and what came out when it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..config import ModelConfig
from .settings import TrainingError


@dataclass(frozen=True)
class Preset:
    """settings, run: values of TrainingSettings and RunSettings that differ from the defaults.

    network: of a new network; None where a run starts from a checkpoint. characters: drawn for it.
    world: values of characters.WorldSettings. expected: what came of it, where it was measured.
    """

    network: ModelConfig | None
    settings: dict[str, Any]
    run: dict[str, Any]
    expected: str
    characters: int = 0
    motion_frames: int = 16
    world: dict[str, Any] = field(default_factory=dict)


PRESETS = {
    "paper": Preset(
        network=None,
        settings={},
        run={"steps": 20_000, "clips_at_once": 1, "gradient_checkpointing": True},
        expected="not measured: the released weights on the user's own videos, as in sections 3.2 and 4.1",
    ),
    "mini": Preset(
        network=ModelConfig(
            dim=32,
            multipliers=(1, 2, 3),
            residual_blocks=1,
            attention_levels=(True, True, True),
            head_dim=32,
            stem_width=32,
            context_dim=64,
            image_tokens=4,
        ),
        settings={
            "width": 64,
            "height": 128,
            "frames": (4,),
            "batch": 8,
            "rate": 1e-3,
            "warm_up": 500,
            "weighting": "x0",
            "ema_decay": 0.999,
            "dropout": 0.0,
        },
        run={"steps": 20_000, "cool_down": 0.1, "workers": 1},
        characters=8_000,
        expected="not measured yet",
    ),
}


def preset(name: str) -> Preset:
    if name not in PRESETS:
        raise TrainingError(f"there is no preset {name!r}: choose one of {', '.join(PRESETS)}")
    return PRESETS[name]
