"""How long a checkpoint takes to open: the released form, a pickle in fp32, and its conversion.

    python -m benchmarks.loading            5.7 + 2.8 GB of random weights, in a temporary folder
    python -m benchmarks.loading --tiny     0.2 + 0.1 GB

load_unet maps both from the file. The baseline is torch.load as it is mostly called: the whole pickle read into memory,
no network yet.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from unianimate_core.checkpoint import convert_checkpoint, load_unet, to_checkpoint
from unianimate_core.checkpoint.loading import network_entries
from unianimate_core.config import RELEASED, ModelConfig

from .report import RESULTS, TINY, random_unet, seconds, spread, table, write

CPU = torch.device("cpu")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="times each file is opened, from memory and from disk")
    parser.add_argument("--tiny", action="store_true", help="a network of 57 million parameters")
    parser.add_argument("--folder", type=Path, help="with room for both files; the system's temporary one unless given")
    parser.add_argument("--output", type=Path, default=RESULTS / "loading.md", help="of the report")
    return parser.parse_args()


def write_released_form(config: ModelConfig, path: Path) -> None:
    """As the authors saved it: fp32, a pickle, wrapped."""
    tensors = to_checkpoint(random_unet(config, CPU, torch.float32).state_dict(), config)
    alone = {name: _alone(tensor) for name, tensor in tensors.items()}
    torch.save({"state_dict": alone, "step": 0}, path)


def _alone(tensor: Tensor) -> Tensor:
    """A piece of a stacked matrix as a tensor of its own; others as they are."""
    return tensor if tensor.nbytes == tensor.untyped_storage().nbytes() else tensor.clone()


def stacked_share(config: ModelConfig) -> float:
    """Share of the parameters that loading copies, since q, k and v become one matrix."""
    entries = network_entries(config)
    sizes = {entry.name: torch.Size(entry.shape).numel() for entry in entries}
    return sum(sizes[entry.name] for entry in entries if len(entry.stored_names) > 1) / sum(sizes.values())


def read_whole_pickle(path: Path) -> Iterable[Tensor]:
    return torch.load(path, weights_only=True)["state_dict"].values()


def open_network(path: Path) -> Iterable[Tensor]:
    return load_unet(path, dtype=torch.float16).parameters()


def opened_and_read(opening: Callable[[], Iterable[Tensor]]) -> None:
    """Opens, and touches every weight once, as the first pass of the network does."""
    for tensor in opening():
        tensor.view(-1)[:: 4096 // tensor.itemsize].sum()


def forget(path: Path) -> None:
    """Drop the file from the system's cache, so that it comes from the disk again."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(opening: Callable[[], Iterable[Tensor]], path: Path) -> tuple[float, float, float]:
    """Seconds: to open; with every weight read, from memory; the same, from the disk."""
    opened = seconds(opening, CPU)
    from_memory = seconds(partial(opened_and_read, opening), CPU)
    forget(path)
    return opened, from_memory, seconds(partial(opened_and_read, opening), CPU)


def main() -> None:
    arguments = parse()
    config = TINY if arguments.tiny else RELEASED
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        pickle, converted = Path(folder) / "released.pth", Path(folder) / "converted.safetensors"
        write_released_form(config, pickle)
        conversion = seconds(lambda: convert_checkpoint(pickle, converted), CPU)
        ways = {
            "pickle in fp32, torch.load alone": (read_whole_pickle, pickle),
            "pickle in fp32, load_unet to fp16": (open_network, pickle),
            "safetensors in fp16, load_unet": (open_network, converted),
        }
        measured = {name: [] for name in ways}
        for _ in range(arguments.rounds):
            for name, (opening, path) in ways.items():
                measured[name].append(measure(partial(opening, path), path))
        sizes = {name: path.stat().st_size for name, (_, path) in ways.items()}

    baseline = statistics.median(opened for opened, _, _ in next(iter(measured.values())))
    rows = []
    for name, times in measured.items():
        opened, from_memory, from_disk = zip(*times, strict=True)
        share = statistics.median(opened) / baseline
        rows.append(
            [name, f"{sizes[name] / 1e9:.2f}", spread(opened), f"{share:.3f}", spread(from_memory), spread(from_disk)]
        )
    body = f"""
{"The tiny network" if arguments.tiny else "The released network's size"}. Median of {arguments.rounds} times in \
turns, and their range; opened from the system's file cache. Converting took {conversion:.1f} s.
Loading stacks the projections of attention, {stacked_share(config):.0%} of the parameters; the rest of the \
safetensors stays mapped to the file, so its weights are read when they are first used.

{table(["file and way", "GB", "s to open", "of the first", "s until read, cached", "s until read, from disk"], rows)}
"""
    write(arguments.output, "Opening a checkpoint", CPU, body)


if __name__ == "__main__":
    main()
