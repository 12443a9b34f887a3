"""Figure 6 of the paper again: memory and time of the temporal modules against the number of frames.

Attention that stores its scores (unfused, as in the paper) and that does not (fused, as it is used here), and Mamba of
both widths; at each level of the network, and for the whole network.

    python -m benchmarks.temporal                       a GPU: the released size, memory and time measured
    python -m benchmarks.temporal                       a CPU: memory of the released size counted, time of a small one

Frames include the reference: 17 is a clip of 16.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor

from unianimate_core.config import RELEASED, MambaConfig, ModelConfig
from unianimate_core.model import UNet
from unianimate_core.model.backend import Attention, Backend, scaled_dot_product_attention
from unianimate_core.model.temporal import TemporalModule
from unianimate_core.precision import DTYPES

from .denoise import peak_memory
from .memory import LiveMemory, fused_attention
from .report import RESULTS, TINY, Module, initialize, interleaved, table, write
from .temporal_figure import Curves, draw

FRAMES = (17, 33, 65, 129, 257, 513)
FIGURE = Path(__file__).parents[1] / "docs" / "temporal.png"
UNFUSED, FUSED, MAMBA_1, MAMBA_2 = "attention, unfused", "attention, fused", "Mamba, expand 1", "Mamba, expand 2"
VARIANTS = (UNFUSED, FUSED, MAMBA_1, MAMBA_2)
NETWORK = "whole network"
PIXELS = {"released": (512, 768), "small": (128, 192)}  # width, height; of the whole small network (64, 64)


def unfused_attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """The same as scaled_dot_product_attention, with all scores in memory."""
    q, k, v = (rearrange(x, "b n (heads d) -> b heads n d", heads=heads) for x in (q, k, v))
    scores = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(dim=-1)
    return rearrange(scores @ v, "b heads n d -> b n (heads d)")


@dataclasses.dataclass(frozen=True)
class Setting:
    """What is measured: a configuration, the size of the images, where, and how."""

    config: ModelConfig
    pixels: tuple[int, int]
    device: torch.device
    dtype: torch.dtype
    split_bytes: int | None

    def of(self, variant: str) -> tuple[ModelConfig, Attention]:
        """Configuration of a variant, and the attention across frames."""
        if variant in (UNFUSED, FUSED):
            fused = fused_attention if self.device.type == "meta" else scaled_dot_product_attention
            return self.config, unfused_attention if variant == UNFUSED else fused
        mamba = MambaConfig(expand=1 if variant == MAMBA_1 else 2, keep_ff=False)
        return dataclasses.replace(self.config, mamba=mamba), scaled_dot_product_attention

    def levels(self) -> dict[str, tuple[int, int, int]]:
        """Channels, height and width of each place in the network that has temporal modules."""
        width, height = (size // 8 for size in self.pixels)
        sizes = {}
        for level, channels in enumerate(self.config.widths):
            last = level == len(self.config.widths) - 1
            name = "middle" if last else f"level {level + 1}"
            sizes[f"{name}: {channels} channels"] = (channels, height >> level, width >> level)
        return sizes

    def module(self, variant: str, size: tuple[int, int, int], frames: int) -> Callable[[], object]:
        """One pass through one temporal module."""
        config, attention = self.of(variant)
        backend = Backend(frame_attention=attention, dtype=self.dtype, device=self.device, split_bytes=self.split_bytes)
        module = self._ready(TemporalModule(size[0], size[0], config, backend))
        x = torch.empty(frames, *size, dtype=self.dtype, device=self.device).normal_()
        x = x.contiguous(memory_format=torch.channels_last)
        return lambda: module(x, frames)

    def network(self, variant: str, frames: int) -> Callable[[], object]:
        """One pass through the network, its conditions embedded before. Spatial attention is fused in each variant."""
        config, attention = self.of(variant)
        spatial = fused_attention if self.device.type == "meta" else scaled_dot_product_attention
        unet = self._ready(
            UNet(
                config,
                dtype=self.dtype,
                device=self.device,
                attention=spatial,
                frame_attention=attention,
                split_bytes=self.split_bytes,
            )
        )
        width, height = self.pixels
        made = {"dtype": self.dtype, "device": self.device}
        text = torch.empty(1, 77, config.context_dim, **made).normal_()
        reference = torch.empty(1, 4, 1, height // 8, width // 8, **made).normal_()
        pose = torch.empty(1, 3, 1, height, width, **made).normal_().sigmoid()
        with torch.no_grad():
            conditions = unet.embed(text=text, reference_latent=reference, reference_pose=pose)
        x = torch.empty(1, 4, frames - 1, height // 8, width // 8, **made).normal_()
        return lambda: unet.denoise(x, torch.full((1,), 501, device=self.device), conditions)

    def _ready(self, module: Module) -> Module:
        if self.device.type != "meta":
            initialize(module)
        return module.requires_grad_(False).eval()


@torch.no_grad()
def memory(work: Callable[[], object], device: torch.device) -> float | None:
    """Bytes at the worst moment beside weights and inputs: measured on a GPU, counted on the meta device."""
    if device.type == "meta":
        with LiveMemory() as counted:
            work()
        return counted.peak
    work()
    held = torch.cuda.memory_allocated(device)
    peak = peak_memory(work, device)
    return None if peak is None else peak - held


def curves(works: Callable[[str, int], Callable[[], object]], measure: Callable[[dict], dict]) -> Curves:
    """variant -> a value for each number of frames. A variant that does not fit into memory ends there."""
    values: Curves = {variant: [] for variant in VARIANTS}
    for frames in FRAMES:
        measured = measure({variant: works(variant, frames) for variant in VARIANTS})
        for variant in VARIANTS:
            values[variant].append(measured[variant])
    return values


def memories(device: torch.device) -> Callable[[dict], dict]:
    return lambda works: {variant: _or_none(lambda work=work: memory(work, device)) for variant, work in works.items()}


def seconds(device: torch.device, rounds: int) -> Callable[[dict], dict]:
    @torch.no_grad()
    def measure(works: dict) -> dict:
        for variant, work in list(works.items()):  # warm up
            if _or_none(lambda work=work: (work(), True)[1]) is None:
                del works[variant]
        times = interleaved(works, rounds, device)
        return {variant: statistics.median(times[variant]) if variant in times else None for variant in VARIANTS}

    return measure


def _or_none(work: Callable[[], float | bool | None]) -> float | bool | None:
    try:
        return work()
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        return None


def measured(setting: Setting, measure: Callable[[dict], dict], network: Setting | None) -> dict[str, Curves]:
    """The curves of each level, and of the whole network where a setting for it is given."""
    result = {}
    for name, size in setting.levels().items():
        result[name] = curves(lambda variant, frames, size=size: setting.module(variant, size, frames), measure)
    if network is not None:
        result[NETWORK] = curves(network.network, measure)
    return result


def tables(title: str, results: dict[str, Curves], unit: str, scale: float, digits: int) -> str:
    parts = [f"## {title}"]
    for name, values in results.items():
        rows = [
            [variant, *("out of memory" if x is None else f"{x * scale:.{digits}f}" for x in values[variant])]
            for variant in VARIANTS
        ]
        parts.append(f"{name}, {unit}:\n\n{table(['frames', *(str(frames) for frames in FRAMES)], rows)}")
    return "\n\n".join(parts)


def parse() -> argparse.Namespace:
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if gpu else "cpu")
    parser.add_argument("--dtype", choices=DTYPES, default="bf16" if gpu else "fp32", help="of what is timed")
    parser.add_argument("--rounds", type=int, default=5, help="each variant is timed so often, in turns")
    parser.add_argument("--figure", type=Path, default=FIGURE)
    parser.add_argument("--output", type=Path, help="of the report; in benchmarks/results unless given")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    torch.manual_seed(0)
    device, dtype = torch.device(arguments.device), DTYPES[arguments.dtype]
    gpu = device.type == "cuda"
    released = Setting(RELEASED, PIXELS["released"], device if gpu else torch.device("meta"), torch.bfloat16, None)
    in_pieces = dataclasses.replace(released, split_bytes=Backend.split_bytes)
    whole_memory = measured(released, memories(released.device), released)
    pieces_memory = measured(in_pieces, memories(released.device), in_pieces)
    timed = in_pieces if gpu else Setting(TINY, PIXELS["small"], device, dtype, Backend.split_bytes)
    timed = dataclasses.replace(timed, dtype=dtype)
    timed_network = timed if gpu else dataclasses.replace(timed, pixels=(64, 64))
    times = measured(timed, seconds(device, arguments.rounds), timed_network)
    draw(arguments.figure, FRAMES, whole_memory, pieces_memory, times, _caption(timed, timed_network, gpu))
    write_report(arguments, device, whole_memory, pieces_memory, times, _caption(timed, timed_network, gpu))


def _caption(timed: Setting, network: Setting, gpu: bool) -> str:
    size = "{}x{}".format(*timed.pixels)
    if gpu:
        return f"the released network, {size}"
    return f"a fifth of the width, {size} ({'{}x{}'.format(*network.pixels)} for the whole network)"


def write_report(arguments, device: torch.device, whole, pieces, times, caption: str) -> None:
    how = "Measured" if device.type == "cuda" else "Counted on the meta device: every tensor that is alive"
    memory_of = f"{how}; the released network, 512x768 (width x height), half precision, beside weights and inputs."
    body = "\n\n".join(
        [
            f"Frames include the reference. Mamba is without feed-forward. Time: {caption}, {arguments.dtype}, medians "
            f"of {arguments.rounds} rounds in turns. {memory_of}",
            tables("Memory, everything made whole", whole, "MiB", 2**-20, 0),
            tables("Memory as used, wide results made in pieces of 128 MiB", pieces, "MiB", 2**-20, 0),
            tables("Time", times, "ms", 1e3, 1),
        ]
    )
    path = arguments.output or RESULTS / f"temporal_{device.type}.md"
    write(path, "Temporal modules against frames", device, body)


if __name__ == "__main__":
    main()
