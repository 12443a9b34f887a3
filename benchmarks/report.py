"""What every benchmark needs: a network of random weights, fair timing, and a report in a fixed form."""

from __future__ import annotations

import os
import platform
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from unianimate_core.config import RELEASED, ModelConfig
from unianimate_core.model import UNet
from unianimate_core.model.mamba import BidirectionalMamba

Module = TypeVar("Module", bound=nn.Module)
RESULTS = Path(__file__).parent / "results"
THREAD_SETTINGS = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY")
TINY = replace(RELEASED, dim=64, stem_width=128, context_dim=256)
"""A fifth of the released width: 57 million parameters instead of 1.4 billion."""


def random_unet(config: ModelConfig, device: torch.device, dtype: torch.dtype, split_bytes: int | None = None) -> UNet:
    """A network whose weights keep activations near unit variance. The same seed, so the same on each call."""
    unet = UNet(config, device="meta", dtype=dtype, split_bytes=split_bytes).to_empty(device=device)
    return initialize(unet).requires_grad_(False).eval()


@torch.no_grad()
def initialize(network: Module) -> Module:
    """The same network, with random weights of that kind; what is recurrent starts as in training."""
    device = next(network.parameters()).device
    generator = torch.Generator(device).manual_seed(0)
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            parameter.normal_(0, parameter[0].numel() ** -0.5, generator=generator)
        else:
            parameter.fill_(float(name.endswith(("weight", "alpha"))))
    for module in network.modules():
        if isinstance(module, BidirectionalMamba):
            module.reset_parameters()
    return network


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """How long work takes, until the device has finished it."""
    synchronize(device)
    start = time.perf_counter()
    work()
    synchronize(device)
    return time.perf_counter() - start


def interleaved(
    variants: Mapping[str, Callable[[], object]], rounds: int, device: torch.device
) -> dict[str, list[float]]:
    """Times of each variant, taken in turns, so that a change in the machine's load meets all of them alike."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, work in variants.items():
            times[name].append(seconds(work, device))
    return times


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def spread(times: Sequence[float]) -> str:
    """Median, and between which times the others lay."""
    return f"{statistics.median(times):.3g} ({min(times):.3g} to {max(times):.3g})"


def hardware(device: torch.device) -> str:
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{properties.name}, {properties.total_memory / 1e9:.0f} GB"
    return f"{_processor()}, {torch.get_num_threads()} threads"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def versions(device: torch.device) -> str:
    gpu = f", CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}" if device.type == "cuda" else ""
    return f"Python {platform.python_version()}, PyTorch {torch.__version__}{gpu}, {platform.system()}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


RANDOM_WEIGHTS = "random, of the named configuration"


def write(path: Path, title: str, device: torch.device, body: str, weights: str = RANDOM_WEIGHTS) -> None:
    """Print the report and keep it. weights: where the network's came from."""
    report = text(title, device, body, weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(report)
    print(report)


def text(title: str, device: torch.device, body: str, weights: str = RANDOM_WEIGHTS) -> str:
    """The whole report. weights: see write."""
    environment = [f"{name}={os.environ[name]}" for name in THREAD_SETTINGS if name in os.environ]
    command = shlex.join([*environment, "python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]])
    return (
        f"# {title}\n\n"
        f"- Hardware: {hardware(device)}\n"
        f"- Versions: {versions(device)}\n"
        f"- Command: `{command}`\n"
        f"- Weights: {weights}\n\n"
        f"{body.strip()}\n"
    )
