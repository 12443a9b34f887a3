"""python -m unianimate_core train-vae."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_train_vae(commands) -> None:
    command = commands.add_parser(
        "train-vae",
        help="train the small VAE on drawn characters",
        description="Train a VAE of TAESD's form on drawn characters. The same command again goes on after a stop.",
    )
    command.add_argument("--output", type=Path, required=True, help="a name that ends in .safetensors")
    command.add_argument("--steps", type=int, default=2500, help="training steps (default: 2500)")
    command.add_argument("--seed", type=int, default=0, help="of weights and data (default: 0)")
    command.add_argument("--precision", choices=("bf16", "fp32"), default="bf16", help="of the work (default: bf16)")
    command.set_defaults(run=_train_vae)


def _train_vae(options: argparse.Namespace) -> None:
    from ..training.vae import VaeTraining, train_vae

    train_vae(options.output, VaeTraining(steps=options.steps, seed=options.seed, precision=options.precision))
    print(f"wrote {options.output} ({options.output.stat().st_size:,} bytes)")
