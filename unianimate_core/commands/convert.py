"""python -m unianimate_core convert."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_convert(commands) -> None:
    command = commands.add_parser(
        "convert",
        help="write a checkpoint as safetensors",
        description="Write a UniAnimate checkpoint as safetensors, which is half as large and loads much faster.",
    )
    command.add_argument("source", type=Path, metavar="SOURCE", help="a .pth or .safetensors checkpoint")
    command.add_argument("destination", type=Path, metavar="DESTINATION", help="a name that ends in .safetensors")
    command.add_argument(
        "--dtype", choices=("fp16", "bf16", "fp32"), default="fp16", help="precision to store (default: fp16)"
    )
    command.set_defaults(run=_convert)


def _convert(options: argparse.Namespace) -> None:
    from tqdm import tqdm

    from ..checkpoint import convert_checkpoint
    from ..precision import DTYPES

    with tqdm(desc=options.destination.name, unit=" tensors") as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        convert_checkpoint(options.source, options.destination, DTYPES[options.dtype], progress=progress)
    print(f"wrote {options.destination} ({options.destination.stat().st_size:,} bytes)")
