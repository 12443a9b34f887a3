"""python -m unianimate_core demo, and draw-person."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_demo(commands) -> None:
    command = commands.add_parser(
        "demo",
        help="animate a drawn person with the small network that comes with the pack",
        description="Animate a drawn person, held out from training, with UniAnimate-mini, and compare with the truth.",
    )
    command.add_argument("--output", type=Path, default=Path("demo.mp4"), help="video to write (default: demo.mp4)")
    command.add_argument("--character", type=int, help="number of another person and motion")
    command.add_argument("--temporal", choices=("transformer", "mamba"), default="transformer", help="temporal module")
    command.add_argument("--steps", type=int, help="denoising steps (default: the few that UniAnimate-mini needs)")
    command.set_defaults(run=_demo)


def _demo(options: argparse.Namespace) -> None:
    from ..optional import require

    require("cv2", "the demo", package="opencv-python-headless", extra="demo")
    require("av", "the demo", extra="demo")
    from ..demo import run_demo

    given = {"character": options.character, "steps": options.steps}
    given = {name: value for name, value in given.items() if value is not None}
    run_demo(options.output, temporal=options.temporal, **given)


def add_draw_person(commands) -> None:
    command = commands.add_parser(
        "draw-person",
        help="write a drawn person's image, keypoints and true video, to try animate with",
        description="Write a drawn person into a folder: reference.png, reference.json, poses.json and truth.mp4.",
    )
    command.add_argument("folder", type=Path, metavar="FOLDER", help="where the files go")
    command.add_argument("--character", type=int, help="number of another person and motion")
    command.add_argument("--frames", type=int, help="of the motion (default: 16, one clip)")
    command.set_defaults(run=_draw_person)


def _draw_person(options: argparse.Namespace) -> None:
    from .. import mini
    from ..drawn_world.characters import draw_clip
    from ..drawn_world.export import write_person

    character = mini.CHARACTER if options.character is None else options.character
    frames = mini.FRAMES if options.frames is None else options.frames
    write_person(options.folder, draw_clip(character, frames, mini.HEIGHT, mini.WIDTH, split="test", world=mini.WORLD))
    print(f"wrote reference.png, reference.json, poses.json and truth.mp4 to {options.folder}")
