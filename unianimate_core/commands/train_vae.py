"""python -m unianimate_core train-vae."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_train_vae(commands) -> None:
    command = commands.add_parser(
        "train-vae",
        help="train the small VAE on drawn characters",
        description="Train a VAE of TAESD's form on drawn characters. To continue after a stop, repeat the command.",
    )
    command.add_argument("--output", type=Path, required=True, help="a name that ends in .safetensors")
    command.add_argument("--steps", type=int, default=2500, help="training steps (default: 2500)")
    command.add_argument("--seed", type=int, default=0, help="of weights and data (default: 0)")
    command.add_argument(
        "--precision",
        choices=("auto", "bf16", "fp32"),
        default="auto",
        help="auto is bf16 on a CPU that computes in bf16, else fp32 (default: auto)",
    )
    command.add_argument("--learning-rate", type=float, default=0.005, help="the highest (default: 0.005)")
    command.add_argument(
        "--decoder-of", metavar="FILE", help="keep this VAE's encoder, and so its latents, and train only its decoder"
    )
    command.set_defaults(run=_train_vae)


def _train_vae(options: argparse.Namespace) -> None:
    from ..training.vae.trainer import VaeTrainingSettings, train_vae

    settings = VaeTrainingSettings(
        steps=options.steps,
        seed=options.seed,
        precision=options.precision,
        learning_rate=options.learning_rate,
        decoder_of=options.decoder_of,
        fine_from=0.7 if options.decoder_of is None else 0.0,
    )
    train_vae(options.output, settings)
    print(f"wrote {options.output} ({options.output.stat().st_size:,} bytes)")
