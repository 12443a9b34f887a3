"""The selective scan: how long each way to compute it takes, forwards and backwards, and how much memory.

    python -m benchmarks.scan                                       this machine, 1536 x 33 x 128 x 16 on a CPU
    python -m benchmarks.scan --sequences 12288 --channels 640 --dtype bf16                         on an H200

Shapes are sequences x frames x channels x states. On a CPU: one direction, also in other ways than the one used. On a
GPU: both directions, by every back end that is there.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from unianimate_core.precision import DTYPES
from unianimate_core.scan import BACKENDS, backends, blocks, selective_scan

from .denoise import gigabytes, peak_memory
from .report import RESULTS, interleaved, spread, table, write

Tensors = Mapping[str, Tensor]
LOG2_E = math.log2(math.e)


def inputs(n: int, frames: int, channels: int, states: int, device: torch.device, dtype: torch.dtype) -> Tensors:
    """As the mixer makes them at the start of training. A, D: fp32."""
    generator = torch.Generator(device).manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device=device).to(dtype)

    made = {"u": normal(n, frames, channels), "delta": F.softplus(normal(n, frames, channels) - 3)}
    made["A"] = -torch.arange(1.0, states + 1, device=device).repeat(channels, 1)
    made |= {"B": normal(n, frames, states), "C": normal(n, frames, states)}
    return made | {"D": torch.ones(channels, device=device), "z": normal(n, frames, channels)}


def materializing(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, z: Tensor) -> Tensor:
    """Every decay and every input of the state at once, n f E s, then a loop over time."""
    decay = (delta[..., None] * A).exp()
    driven = (delta * u)[..., None] * B[:, :, None]
    h = torch.zeros_like(decay[:, 0])
    y = torch.empty_like(u)
    for t in range(u.shape[1]):
        h = decay[:, t] * h + driven[:, t]
        y[:, t] = (h * C[:, t, None]).sum(-1)
    return (y + D * u) * F.silu(z)


def doubling(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, z: Tensor) -> Tensor:
    """In parallel over time: spans of steps are joined with the span before them, log2(f) times."""
    decay = (delta[..., None] * A).exp()
    h = (delta * u)[..., None] * B[:, :, None]
    span = 1
    while span < u.shape[1]:
        joined = h.clone()
        joined[:, span:] += decay[:, span:] * h[:, :-span]
        decay = torch.cat([decay[:, :span], decay[:, span:] * decay[:, :-span]], dim=1)
        h, span = joined, 2 * span
    return (torch.einsum("nfes,nfs->nfe", h, C) + D * u) * F.silu(z)


def whole_batch(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, z: Tensor) -> Tensor:
    """A loop over time with the state of all sequences at once, which no cache holds."""
    rate = (A * LOG2_E).T.contiguous()
    h = u.new_zeros(len(u), *rate.shape)
    decay, y = torch.empty_like(h), torch.empty_like(u)
    for t in range(u.shape[1]):
        torch.mul(delta[:, t, None], rate, out=decay).exp2_()
        h.mul_(decay).addcmul_((delta[:, t] * u[:, t])[:, None], B[:, t, :, None])
        y[:, t] = torch.bmm(C[:, t, None], h)[:, 0]
    return (y + D * u) * F.silu(z)


def sequences_first(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, z: Tensor) -> Tensor:
    """Blocks of 128 sequences in the layout they come in, with powers of e."""
    y, rate = torch.empty_like(u), A.T.contiguous()
    for start in range(0, len(u), 128):
        rows = slice(start, start + 128)
        step, driven = delta[rows], delta[rows] * u[rows]
        h = u.new_zeros(len(step), *rate.shape)
        decay = torch.empty_like(h)
        for t in range(u.shape[1]):
            torch.mul(step[:, t, None], rate, out=decay).exp_()
            h.mul_(decay).addcmul_(driven[:, t, None], B[rows, t, :, None])
            torch.bmm(C[rows, t, None], h, out=y[rows, t, None])
    return (y + D * u) * F.silu(z)


def both_directions(backend: str, z: Tensor, **tensors: Any) -> Tensor:
    """As the mixer scans: the second pass adds the first one's result and applies the gate."""
    forwards = selective_scan(**tensors, backend=backend)
    return selective_scan(**tensors, z=z, added=forwards, reverse=True, backend=backend)


@contextmanager
def block_size(size: int) -> Iterator[None]:
    kept, blocks.CPU_STATE_BYTES = blocks.CPU_STATE_BYTES, size
    try:
        yield
    finally:
        blocks.CPU_STATE_BYTES = kept


def blocked_at(size: int) -> Callable[..., Tensor]:
    def scan(**tensors: Any) -> Tensor:
        with block_size(size):
            return selective_scan(**tensors, backend="torch")

    return scan


def variants(device: torch.device) -> dict[str, Callable[..., Tensor]]:
    """Each way to compute it, the one used first."""
    if device.type != "cpu":
        there = [name for name in BACKENDS if backends.absence(name, device.type) is None]
        return {f"{name}, both directions": partial(both_directions, name) for name in there}
    used = blocks.CPU_STATE_BYTES
    sizes = {f"the same, blocks of {size // 2**10} KiB": blocked_at(size) for size in (used // 4, used // 2, 2 * used)}
    return {
        f"as used: blocks of {used // 2**10} KiB, frames first": blocked_at(used),
        **sizes,
        "blocks, sequences first, powers of e": sequences_first,
        "no blocks": whole_batch,
        "materializing": materializing,
        "parallel over time": doubling,
    }


def with_gradients(scan: Callable[..., Tensor], tensors: Tensors) -> Callable[[], object]:
    leaves = {name: x.detach().requires_grad_() for name, x in tensors.items()}

    def both() -> None:
        scan(**leaves).sum().backward()
        for leaf in leaves.values():
            leaf.grad = None

    return both


def inference(scan: Callable[..., Tensor], tensors: Tensors) -> Callable[[], Tensor]:
    @torch.no_grad()
    def run() -> Tensor:
        return scan(**tensors)

    return run


def parse() -> argparse.Namespace:
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=1536)
    parser.add_argument("--frames", type=int, default=33)
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--states", type=int, default=16)
    parser.add_argument("--device", default="cuda" if gpu else "cpu")
    parser.add_argument("--dtype", choices=DTYPES, default="bf16" if gpu else "fp32")
    parser.add_argument("--rounds", type=int, default=7, help="each variant is measured so often, in turns")
    parser.add_argument("--output", type=Path, help="of the report; in benchmarks/results unless given")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    device = torch.device(arguments.device)
    shape = (arguments.sequences, arguments.frames, arguments.channels, arguments.states)
    tensors = inputs(*shape, device, DTYPES[arguments.dtype])
    scans = variants(device)
    works = {name: inference(scan, tensors) for name, scan in scans.items()}
    first = next(iter(works))
    expected = works[first]().float()
    errors = {name: float((work().float() - expected).norm() / expected.norm()) for name, work in works.items()}
    memory = {name: peak_memory(work, device) for name, work in works.items()}
    times = interleaved(works, arguments.rounds, device)
    trained = [first] if device.type == "cpu" else list(scans)
    both = {name: with_gradients(scans[name], tensors) for name in trained}
    for work in both.values():
        work()
    both_memory = {name: peak_memory(work, device) for name, work in both.items()}
    both_times = interleaved(both, max(3, arguments.rounds // 2), device)

    medians = {name: statistics.median(taken) for name, taken in times.items()}
    best = min(medians.values())
    rows = [
        [
            name,
            spread([1e3 * x for x in times[name]]),
            f"{medians[name] / best:.2f}",
            gigabytes(memory[name]),
            spread([1e3 * x for x in both_times[name]]) if name in both else "",
            gigabytes(both_memory[name]) if name in both else "",
            f"{errors[name]:.0e}",
        ]
        for name in works
    ]
    header = ["variant", "ms", "of the best", "peak GB", "ms with gradients", "peak GB", "differs by"]
    directions = "One direction" if device.type == "cpu" else "Both directions"
    sizes = " x ".join(str(size) for size in shape)
    body = f"""
{directions} and the gate, {sizes} (sequences x frames x channels x states), {arguments.dtype}.
Median of {arguments.rounds} rounds in turns after a warm-up, and their range; peak memory beside the inputs; \
difference: relative to the first row.

{table(header, rows)}
"""
    name = f"scan_{device.type}_{'x'.join(str(size) for size in shape)}_{arguments.dtype}.md"
    write(arguments.output or RESULTS / name, "The selective scan", device, body)


if __name__ == "__main__":
    main()
