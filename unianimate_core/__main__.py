"""Command line: python -m unianimate_core COMMAND.

Each command has a function that adds its options and one that runs it; what is slow to import is imported when it runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .commands.evaluate import add_evaluate
from .commands.train import add_train
from .commands.train_vae import add_train_vae

PRECISIONS = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0, or 2 where the user can put something right, said in one sentence."""
    parser = argparse.ArgumentParser(prog="python -m unianimate_core", description="UniAnimate outside ComfyUI.")
    parser.add_argument("--traceback", action="store_true", help="show where in the code an error came from")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (_add_convert, _add_to_mamba, _add_demo, add_evaluate, add_train, add_train_vae):
        add(commands)
    options = parser.parse_args(arguments)
    try:
        options.run(options)
    except (ValueError, OSError, ImportError) as error:
        if options.traceback:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _add_convert(commands) -> None:
    command = commands.add_parser(
        "convert",
        help="write a checkpoint as safetensors",
        description="Write a UniAnimate checkpoint as safetensors: half the size, loaded in a fraction of the time.",
    )
    command.add_argument("source", type=Path, metavar="SOURCE", help="a .pth or .safetensors checkpoint")
    command.add_argument("destination", type=Path, metavar="DESTINATION", help="a name that ends in .safetensors")
    command.add_argument("--dtype", choices=PRECISIONS, default="fp16", help="precision to store (default: fp16)")
    command.set_defaults(run=_convert)


def _convert(options: argparse.Namespace) -> None:
    import torch
    from tqdm import tqdm

    from .checkpoint import convert_checkpoint

    with tqdm(desc=options.destination.name, unit=" tensors") as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        convert_checkpoint(
            options.source, options.destination, getattr(torch, PRECISIONS[options.dtype]), progress=progress
        )
    print(f"wrote {options.destination} ({options.destination.stat().st_size:,} bytes)")


def _add_to_mamba(commands) -> None:
    command = commands.add_parser(
        "to-mamba",
        help="write a checkpoint with the temporal Mamba, to be trained",
        description="Write a UniAnimate checkpoint with the temporal Mamba in the place of its temporal Transformers. "
        "All else is kept; the mixers are random, so the result must be trained before it is of use.",
    )
    command.add_argument("source", type=Path, metavar="SOURCE", help="a .pth or .safetensors checkpoint")
    command.add_argument("destination", type=Path, metavar="DESTINATION", help="a name that ends in .safetensors")
    command.add_argument("--expand", type=int, default=2, help="inner width, in units of the module's (default: 2)")
    command.add_argument("--keep-ff", action="store_true", help="keep the feed-forward behind the mixer")
    command.add_argument("--d-state", type=int, default=16, help="states of a channel (default: 16)")
    command.add_argument("--d-conv", type=int, default=4, help="frames the convolution spans (default: 4)")
    command.add_argument("--seed", type=int, default=0, help="of the new weights (default: 0)")
    command.set_defaults(run=_to_mamba)


def _to_mamba(options: argparse.Namespace) -> None:
    from .checkpoint.to_mamba import convert_to_mamba
    from .config import MambaConfig

    mamba = MambaConfig(expand=options.expand, keep_ff=options.keep_ff, d_state=options.d_state, d_conv=options.d_conv)
    convert_to_mamba(options.source, options.destination, mamba, seed=options.seed)
    print(f"wrote {options.destination} ({options.destination.stat().st_size:,} bytes): train it before use")


def _add_demo(commands) -> None:
    command = commands.add_parser(
        "demo",
        help="animate a drawn person with the small network that comes with the pack",
        description="Animate a drawn person, whom no training has seen, with the small network of the pack.",
    )
    command.add_argument("--output", type=Path, default=Path("demo.mp4"), help="video to write (default: demo.mp4)")
    command.add_argument("--character", type=int, help="number of another person and motion")
    command.add_argument("--temporal", choices=("transformer", "mamba"), default="transformer", help="of the network")
    command.add_argument("--steps", type=int, help="denoising steps (default: the few that the small network needs)")
    command.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> None:
    try:
        from .demo import run_demo
    except ModuleNotFoundError as error:
        raise ImportError(
            f"the demo needs {error.name}, which is not installed: "
            'run pip install -e ".[pose,video]" in the folder of this pack'
        ) from error

    run_demo(options.output, character=options.character, temporal=options.temporal, steps=options.steps)


if __name__ == "__main__":
    sys.exit(main())
