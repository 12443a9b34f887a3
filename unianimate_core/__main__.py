"""Command line: python -m unianimate_core COMMAND.

Each command is a file of commands/, with a function that adds its options and one that runs it. What is slow to import
is imported when the command runs.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from .commands.animate import add_animate
from .commands.convert import add_convert
from .commands.demo import add_demo, add_draw_person
from .commands.evaluate import add_evaluate
from .commands.to_mamba import add_to_mamba
from .commands.train import add_train
from .commands.train_vae import add_train_vae

COMMANDS = (
    add_animate,
    add_demo,
    add_draw_person,
    add_convert,
    add_to_mamba,
    add_evaluate,
    add_train,
    add_train_vae,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns 0; 2 after an error that the user can mend, said in one sentence; 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m unianimate_core", description="UniAnimate outside ComfyUI.")
    parser.add_argument("--traceback", action="store_true", help="show where in the code an error came from")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in COMMANDS:
        add(commands)
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    logging.getLogger(__package__).setLevel(logging.INFO)  # such as the precision that "auto" chose
    try:
        options.run(options)
    except (ValueError, OSError, ImportError) as error:
        if options.traceback:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped: what is finished is kept, repeat the command to continue", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
