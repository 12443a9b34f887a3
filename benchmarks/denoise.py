"""One guided step of the network: how long it takes, how near the hardware's ceiling, how much memory, and what each
saving saves.

    python -m benchmarks.denoise                                                       the released size, on a GPU
    python -m benchmarks.denoise --tiny --frames 8 --width 256 --height 384 --split-mib 8             on a CPU
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from unianimate_core.config import RELEASED, ModelConfig
from unianimate_core.diffusion import guided
from unianimate_core.model import UNet
from unianimate_core.precision import DTYPES

from .report import RESULTS, TINY, interleaved, random_unet, seconds, spread, table, write

GUIDANCE_SCALE = 2.5
TIMESTEP = 501
TEXT_TOKENS = 77
AS_USED, COMPILED, NAIVE = "as used", "as used, compiled", "naive: neither saving"
Step = Callable[[], Tensor]


def inputs(
    config: ModelConfig, frames: int, width: int, height: int, device: torch.device | str, dtype: torch.dtype
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Noisy latents, text states and every other condition but the first frame, as a single clip has them."""

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, device=device, dtype=dtype)

    h, w = height // 8, width // 8
    conditions = {
        "image": normal(1, 1, config.context_dim),
        "pose": normal(1, 3, frames, height, width).sigmoid(),
        "reference_pose": normal(1, 3, 1, height, width).sigmoid(),
        "reference_latent": normal(1, 4, 1, h, w),
    }
    return normal(1, 4, frames, h, w), normal(1, TEXT_TOKENS, config.context_dim), conditions


@torch.no_grad()
def count_flops(config: ModelConfig, frames: int, width: int, height: int) -> tuple[int, int]:
    """Floating-point operations of (embedding the conditions, one pass), a multiply-add counted as two.

    Counted by running the network on the meta device: nothing is computed.
    """
    unet = UNet(config, device="meta", split_bytes=None).eval()
    x, text, conditions = inputs(config, frames, width, height, "meta", torch.float32)
    with FlopCounterMode(display=False) as counter:
        embedded = unet.embed(text=text, **conditions)
        embedding = counter.get_total_flops()
        unet.denoise(x, torch.empty(1, device="meta"), embedded)
    return embedding, counter.get_total_flops() - embedding


def step_embedded_once(unet: UNet, x: Tensor, text: Tensor, conditions: dict[str, Tensor]) -> Step:
    denoiser = guided(unet, conditions, text, GUIDANCE_SCALE)
    return lambda: denoiser(x, TIMESTEP)


def step_embedding_each_time(unet: UNet, x: Tensor, text: Tensor, conditions: dict[str, Tensor]) -> Step:
    @torch.no_grad()
    def step() -> Tensor:
        t = torch.full((1,), TIMESTEP, device=x.device)
        v_cond = unet(x, t, text=text, **conditions)
        v_uncond = unet(x, t, text=text)
        return v_uncond + GUIDANCE_SCALE * (v_cond - v_uncond)

    return step


def matmul_ceiling(device: torch.device, dtype: torch.dtype, rounds: int) -> float:
    """Operations a second of one large square matrix product: what this machine reaches at best."""
    size = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    torch.mm(a, b)
    times = [seconds(lambda: torch.mm(a, b), device) for _ in range(max(rounds, 10))]
    return 2 * size**3 / statistics.median(times)


def peak_memory(step: Callable[[], object], device: torch.device) -> float | None:
    """Bytes in use at the worst moment of a step, weights included on a GPU and excluded on a CPU.

    CPU: how far the resident memory of the process grows, which includes the libraries' own buffers; Linux only.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        step()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device)
    if sys.platform != "linux":
        return None
    _give_back_freed_memory()
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # starts the high-water mark anew
    step()
    return _resident("VmHWM") - before


def gigabytes(size: float | None) -> str:
    return "not measured" if size is None else f"{size / 1e9:.2f}"


def _give_back_freed_memory() -> None:
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    except (OSError, AttributeError):
        return


def _resident(kind: str) -> int:
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith(kind))


def parse() -> argparse.Namespace:
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--width", type=int, default=512, help="pixels, a multiple of 64")
    parser.add_argument("--height", type=int, default=768, help="pixels, a multiple of 64")
    parser.add_argument("--dtype", choices=DTYPES, default="fp16" if gpu else "fp32")
    parser.add_argument("--device", default="cuda" if gpu else "cpu")
    parser.add_argument("--steps", type=int, default=5, help="measured steps of each variant")
    parser.add_argument("--split-mib", type=int, default=256, help="bound of each wide intermediate result")
    parser.add_argument("--compile", action="store_true", help="also torch.compile the step")
    parser.add_argument("--tiny", action="store_true", help="a network of 57 million parameters, for CPUs")
    parser.add_argument("--output", type=Path, help="of the report; in benchmarks/results unless given")
    return parser.parse_args()


def variants_of(unet: UNet, given: tuple[Tensor, Tensor, dict[str, Tensor]], compiled: bool) -> dict[str, Step]:
    """The network as it is used, then without each saving, then without any. All share their weights."""
    whole = sharing_weights(unet, split_bytes=None)
    variants = {
        AS_USED: step_embedded_once(unet, *given),
        "embedding at each step": step_embedding_each_time(unet, *given),
        "not splitting": step_embedded_once(whole, *given),
        NAIVE: step_embedding_each_time(whole, *given),
    }
    if compiled:
        compiled_unet = sharing_weights(unet, split_bytes=unet.backend.split_bytes)
        compiled_unet.denoise = torch.compile(compiled_unet.denoise)
        variants[COMPILED] = step_embedded_once(compiled_unet, *given)
    return variants


def sharing_weights(unet: UNet, split_bytes: int | None) -> UNet:
    other = UNet(unet.config, device="meta", dtype=unet.dtype, split_bytes=split_bytes)
    other.load_state_dict(unet.state_dict(), assign=True)
    return other.requires_grad_(False).eval()


def main() -> None:
    arguments = parse()
    torch.manual_seed(0)
    device, dtype = torch.device(arguments.device), DTYPES[arguments.dtype]
    config = TINY if arguments.tiny else RELEASED
    size = (arguments.frames, arguments.width, arguments.height)
    embedding_flops, pass_flops = count_flops(config, *size)
    unet = random_unet(config, device, dtype, arguments.split_mib * 2**20)
    given = inputs(config, *size, device, dtype)
    variants = variants_of(unet, given, arguments.compile)

    warm_up = {name: seconds(step, device) for name, step in variants.items()}
    expected = variants[AS_USED]()
    errors = {name: float((step() - expected).norm() / expected.norm()) for name, step in variants.items()}
    memory = {name: peak_memory(step, device) for name, step in variants.items()}
    times = interleaved(variants, arguments.steps, device)
    embedding = interleaved({"": lambda: step_embedded_once(unet, *given)}, arguments.steps, device)[""]
    ceiling = matmul_ceiling(device, dtype, arguments.steps)

    medians = {name: statistics.median(taken) for name, taken in times.items()}
    rows = [
        [
            name,
            spread(times[name]),
            f"{medians[name] / medians[NAIVE]:.2f}",
            f"{2 * pass_flops / medians[name] / 1e12:.3g}",
            f"{2 * pass_flops / medians[name] / ceiling:.0%}",
            gigabytes(memory[name]),
            f"{errors[name]:.0e}",
        ]
        for name in variants
    ]
    header = ["variant", "s a step", "of naive", "TFLOP/s", "of ceiling", "peak GB", "differs by"]
    weights = "with" if device.type == "cuda" else "without"
    body = f"""
{"The tiny network" if arguments.tiny else "The released network's size"}, {arguments.frames} frames of \
{arguments.width}x{arguments.height} (width x height), {arguments.dtype}. A guided step is two passes of \
{pass_flops / 1e12:.3g} TFLOP. Embedding the conditions, once a clip: {embedding_flops / 1e12:.2g} TFLOP, \
{spread(embedding)} s.
Ceiling: {ceiling / 1e12:.3g} TFLOP/s in a large matrix product in the same run. Wide results are split at \
{arguments.split_mib} MiB.
Median of {arguments.steps} steps taken in turns after a warm-up, and their range; peak memory {weights} the weights; \
difference: relative to the first row.

{table(header, rows)}
"""
    if arguments.compile:
        body += f"\nCompiling and the first step took {warm_up[COMPILED]:.0f} s.\n"
    name = f"denoise_{device.type}_{arguments.frames}x{arguments.width}x{arguments.height}_{arguments.dtype}.md"
    write(arguments.output or RESULTS / name, "One guided step", device, body)


if __name__ == "__main__":
    main()
