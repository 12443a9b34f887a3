"""The options by which every comparison of small networks says what it animates, how it samples, and with what."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from unianimate_core import mini
from unianimate_core.drawn_world.characters import DrawnClip, draw_clip
from unianimate_core.drawn_world.world import Split, WorldSettings
from unianimate_core.sampling import SamplingSettings
from unianimate_core.vae.autoencoder import LINEAR

from .animation import Precision
from .rows import Bench, digest_of
from .scores import Kept


class ComparisonParser(argparse.ArgumentParser):
    """Of one comparison, described by its module's docstring. The defaults are UniAnimate-mini's."""

    def __init__(self, description: str | None, output: Path):
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        _add_clips(self)
        _add_sampling(self)
        _add_work(self)
        self.add_argument("--output", type=Path, default=output, help=f"default: {output}")

    def parsed(self, arguments: Sequence[str] | None) -> argparse.Namespace:
        """Ends the command where processes are asked for that cannot be: a fork has no GPU, and Linux alone forks."""
        options = self.parse_args(arguments)
        if options.processes and torch.device(options.device).type != "cpu":
            self.error(f"--processes {options.processes} is for a CPU, the device is {options.device}: leave it out")
        if options.processes and sys.platform != "linux":
            self.error(f"--processes {options.processes} is for Linux, this is {sys.platform}: leave it out")
        return options


def _add_clips(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--vae", type=parse_vae, default=mini.VAE, help="a file, or 'linear' to try things")
    parser.add_argument("--world", type=parse_world, default=mini.WORLD, help="JSON of WorldSettings")
    parser.add_argument("--frames", type=int, default=mini.FRAMES, help=f"of a clip (default: {mini.FRAMES})")
    parser.add_argument("--width", type=int, default=mini.WIDTH, help=f"default: {mini.WIDTH}")
    parser.add_argument("--height", type=int, default=mini.HEIGHT, help=f"default: {mini.HEIGHT}")


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    steps, scale = mini.SETTINGS.steps, mini.SETTINGS.guidance_scale
    parser.add_argument("--steps", type=int, default=steps, help=f"of DDIM (default: {steps})")
    parser.add_argument(
        "--guidance-scale",
        type=float,
        default=scale,
        help=f"default: {scale:g}; 1 is one pass a step without guidance, any other takes two",
    )
    parser.add_argument(
        "--noise-prior",
        action=argparse.BooleanOptionalAction,
        default=mini.SETTINGS.noise_prior != 0,
        help="start from the diffused reference, as the authors, or from pure noise (default for the mini)",
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16"),
        default="fp32",
        help="of network and VAE (default: fp32); bf16, in which the small networks were trained, is faster",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the noise (default: 0)")


def _add_work(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--processes",
        type=int,
        default=0,
        help="that make videos, of one thread each, on a CPU under Linux (default: 0, this one with all threads)",
    )
    parser.add_argument(
        "--keep", type=Path, default=Path("build/paper_tables"), help="folder of finished videos, which are used again"
    )


def parse_vae(text: str) -> Path | None:
    """A file, or None for the stand-in."""
    return None if text == LINEAR else Path(text)


def parse_world(text: str) -> WorldSettings:
    """WorldSettings from the JSON of what differs from its defaults."""
    return WorldSettings(**json.loads(text))


def bench_of(options: argparse.Namespace, *made_of: object) -> Bench:
    """made_of: what all videos of the comparison depend on beside the VAE."""
    return Bench(Kept(options.keep), (digest_of(options.vae), *made_of), options.seed, options.processes)


def drawn_clips(
    options: argparse.Namespace, split: Split, count: int, frames: int, size: tuple[int, int] | None = None
) -> list[DrawnClip]:
    """The first characters and motions of a split, the same at any size, which is width and height."""
    width, height = size or (options.width, options.height)
    return [draw_clip(index, frames, height, width, split=split, world=options.world) for index in range(count)]


def settings_of(options: argparse.Namespace) -> SamplingSettings:
    prior = None if options.noise_prior else 0
    return SamplingSettings(steps=options.steps, guidance_scale=options.guidance_scale, noise_prior=prior)


def described(settings: SamplingSettings, precision: Precision) -> str:
    """For a report's introduction."""
    scale = settings.guidance_scale
    guidance = "without guidance" if scale == 1 else f"guidance scale {scale:g}"
    start = "pure noise" if settings.noise_prior == 0 else "the authors' noise prior"
    computed = {"fp32": "fp32", "bf16": "bf16 mixed precision"}[precision]
    return f"DDIM, {settings.steps} steps, {guidance}, from {start}, in {computed}"
