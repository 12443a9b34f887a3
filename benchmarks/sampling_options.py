"""The options by which every comparison of trained small networks says how they are sampled, and on what."""

from __future__ import annotations

import argparse
import sys

import torch

from unianimate_core import mini

from .animation import Sampling


def add_sampling_options(parser: argparse.ArgumentParser) -> None:
    """The defaults are UniAnimate-mini's: few steps, one pass a step, from pure noise."""
    parser.add_argument("--steps", type=int, default=mini.STEPS, help=f"of DDIM (default: {mini.STEPS})")
    parser.add_argument(
        "--guidance",
        type=float,
        default=mini.GUIDANCE,
        help=f"scale (default: {mini.GUIDANCE:g}; 1 is one pass a step without guidance, any other takes two)",
    )
    parser.add_argument(
        "--noise-prior",
        action=argparse.BooleanOptionalAction,
        default=bool(mini.NOISE_PRIOR),
        help="start from the diffused reference, as the authors, or from pure noise (default for the mini)",
    )
    parser.add_argument(
        "--precision",
        choices=("fp32", "bf16"),
        default="fp32",
        help="of network and VAE (default: fp32); bf16, in which the small networks were trained, is faster",
    )


def add_process_options(parser: argparse.ArgumentParser) -> None:
    """--device and --processes; check_processes says which go together."""
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--processes",
        type=int,
        default=0,
        help="that make videos, of one thread each, on a CPU under Linux (default: 0, this one with all threads)",
    )


def check_processes(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Ends the command where processes are asked for that cannot be: a fork cannot use a GPU, nor live elsewhere."""
    if options.processes and torch.device(options.device).type != "cpu":
        parser.error(f"--processes {options.processes} is for a CPU, the device is {options.device}: leave it out")
    if options.processes and sys.platform != "linux":
        parser.error(f"--processes {options.processes} is for Linux, this is {sys.platform}: leave it out")


def sampling_of(options: argparse.Namespace) -> Sampling:
    return Sampling(options.steps, options.guidance, options.noise_prior, options.precision)


def described(sampling: Sampling) -> str:
    """For a report's introduction."""
    guidance = "without guidance" if sampling.guidance == 1 else f"guidance {sampling.guidance:g}"
    start = "the authors' noise prior" if sampling.noise_prior else "pure noise"
    precision = {"fp32": "fp32", "bf16": "bf16 mixed precision"}[sampling.precision]
    return f"DDIM, {sampling.steps} steps, {guidance}, from {start}, in {precision}"
