"""python -m unianimate_core to-mamba."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_to_mamba(commands) -> None:
    command = commands.add_parser(
        "to-mamba",
        help="write a checkpoint with the temporal Mamba, for training",
        description="Write a UniAnimate checkpoint with the temporal Mamba instead of its temporal Transformers. "
        "All other weights stay. The mixers are random, so train the result before you use it.",
    )
    command.add_argument("source", type=Path, metavar="SOURCE", help="a .pth or .safetensors checkpoint")
    command.add_argument("destination", type=Path, metavar="DESTINATION", help="a name that ends in .safetensors")
    command.add_argument("--expand", type=int, default=2, help="inner width, in model widths (default: 2)")
    command.add_argument("--keep-ff", action="store_true", help="keep the feed-forward after the mixer")
    command.add_argument("--d-state", type=int, default=16, help="states per channel (default: 16)")
    command.add_argument("--d-conv", type=int, default=4, help="frames the convolution spans (default: 4)")
    command.add_argument("--seed", type=int, default=0, help="of the new weights (default: 0)")
    command.set_defaults(run=_to_mamba)


def _to_mamba(options: argparse.Namespace) -> None:
    from ..checkpoint.to_mamba import convert_to_mamba
    from ..config import MambaConfig

    mamba = MambaConfig(expand=options.expand, keep_ff=options.keep_ff, d_state=options.d_state, d_conv=options.d_conv)
    convert_to_mamba(options.source, options.destination, mamba, seed=options.seed)
    print(f"wrote {options.destination} ({options.destination.stat().st_size:,} bytes): train it before use")
