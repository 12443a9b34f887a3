"""The network: a guided step, its memory, its layouts, and torch.compile."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from unianimate_core.config import NORM_GROUPS, ModelConfig
from unianimate_core.model import UNet
from unianimate_core.model.backend import Backend, silu_

from .. import memory
from ..denoise import (
    AS_USED,
    COMPILED,
    NAIVE,
    TIMESTEP,
    Step,
    count_flops,
    inputs,
    sharing_weights,
    step_embedded_once,
    variants_of,
)
from ..report import Module
from .measurement import OUT_OF_MEMORY, Bench, Row, costs, memory_columns, peak_and_working

COMPARED_SIZE = (32, 512, 768)  # frames, width, height, where layouts and torch.compile are compared
MIB = 2**20


def guided_step(bench: Bench, precision: str, frames: int, width: int, height: int) -> list[Row]:
    """A guided step as the network is used, and the plain one without its savings."""
    size, dtype = bench.size(frames, width, height), bench.dtype(precision)
    given = inputs(bench.config, *size, bench.device, dtype)
    variants = variants_of(bench.network(dtype), given, compiled=False)
    return compared(bench, {name: variants[name] for name in (AS_USED, NAIVE)}, size, dtype, baseline=NAIVE)


def compared(
    bench: Bench, variants: Mapping[str, Step], size: tuple[int, int, int], dtype: torch.dtype, *, baseline: str
) -> list[Row]:
    """Ways to take the same guided step. The first is the one whose result the others are compared with."""
    flops = flops_of_step(bench.config, *size)
    taken = costs(bench, variants)
    ceiling = bench.ceiling(dtype)
    expected = None
    rows: list[Row] = []
    for name, step in variants.items():
        cost = taken[name]
        if cost is None:
            rows.append({"variant": name, "s a step": OUT_OF_MEMORY})
            continue
        result = step().float()
        expected = result if expected is None else expected
        row: Row = {"variant": name, "s a step": cost.times}
        if (base := taken[baseline]) is not None:
            row[f"of {baseline.partition(':')[0]}"] = cost.median / base.median
        row |= {"TFLOP/s": flops / cost.median / 1e12, "of ceiling": flops / cost.median / ceiling}
        row |= memory_columns(cost)
        difference = float((result - expected).norm() / expected.norm())
        rows.append(row | {"first step, s": cost.first, "differs by": difference})
    return rows


@cache
def flops_of_step(config: ModelConfig, frames: int, width: int, height: int) -> int:
    """Floating-point operations of the two passes of a guided step."""
    _, one_pass = count_flops(config, frames, width, height)
    return 2 * one_pass


@torch.no_grad()
def memory_factor(bench: Bench, frames: int, width: int, height: int) -> list[Row]:
    """Working memory of one fp16 pass beside weights and inputs, and the memory_usage_factor that asks for as much."""
    frames, width, height = bench.size(frames, width, height)
    dtype = bench.dtype("fp16")
    _, counted = memory.count(frames, width, height, dtype, Backend.split_bytes, bench.config)
    unet = bench.network(dtype)
    x, text, others = inputs(bench.config, frames, width, height, bench.device, dtype)
    conditions = unet.embed(text=text, **others)
    t = torch.full((1,), TIMESTEP, device=bench.device)

    def one_pass() -> Tensor:
        return unet.denoise(x, t, conditions)

    allocated, reserved = working_memory(one_pass, bench.device)
    unit = asked_for_each_factor(frames, width, height, dtype)
    row: Row = {}
    for name, size in (("counted", counted), ("allocated", allocated), ("reserved", reserved)):
        if size is not None:
            row |= {f"{name}, GB": size / 1e9, f"factor, {name}": size / unit}
    return [row]


def working_memory(work: Step, device: torch.device) -> tuple[float | None, float | None]:
    """Bytes at the worst moment of work beside what was held before: of its tensors, and of the allocator's blocks."""
    work()
    if device.type != "cuda":
        return peak_and_working(work, device)[1], None
    torch.cuda.empty_cache()
    reserved = torch.cuda.memory_reserved(device)
    _, working = peak_and_working(work, device)
    return working, torch.cuda.max_memory_reserved(device) - reserved


def asked_for_each_factor(frames: int, width: int, height: int, dtype: torch.dtype) -> float:
    """Bytes that ComfyUI sets aside for a clip if memory_usage_factor is 1, with flash attention or xformers.

    Source: comfy.model_base.BaseModel.memory_required. It grows with the latent's area and the precision.
    """
    area = frames * (width // 8) * (height // 8)
    return area * dtype.itemsize * 0.01 * MIB


class ChannelsLastGroupNorm(nn.GroupNorm):
    """Group norm of images in channels-last memory, whose result stays so. On CUDA, PyTorch's own copies them."""

    def forward(self, x: Tensor) -> Tensor:
        """x: n c h w."""
        n, channels, height, width = x.shape
        grouped = (self.num_groups, channels // self.num_groups)
        pixels = x.permute(0, 2, 3, 1).reshape(n, height * width, *grouped)
        variance, mean = torch.var_mean(pixels, dim=(1, 3), correction=0, keepdim=True)
        scale = (variance + self.eps).rsqrt() * self.weight.view(grouped)
        normalized = torch.addcmul(self.bias.view(grouped) - mean * scale, pixels, scale)
        return normalized.view(n, height, width, channels).permute(0, 3, 1, 2)


CHANNELS_LAST_LAYERS = SimpleNamespace(
    Linear=nn.Linear, Conv1d=nn.Conv1d, Conv2d=nn.Conv2d, LayerNorm=nn.LayerNorm, GroupNorm=ChannelsLastGroupNorm
)


def layouts(bench: Bench) -> list[Row]:
    """A guided step with the weights, then also the norms, in channels-last memory; and with tuned convolutions."""
    size, dtype = bench.size(*COMPARED_SIZE), bench.dtype("fp16")
    given = inputs(bench.config, *size, bench.device, dtype)
    unet = bench.network(dtype)
    split_bytes = unet.backend.split_bytes
    weights = channels_last(sharing_weights(unet, split_bytes))
    norms = UNet(unet.config, device="meta", dtype=dtype, split_bytes=split_bytes, operations=CHANNELS_LAST_LAYERS)
    norms.load_state_dict(weights.state_dict(), assign=True)
    networks = {
        AS_USED: unet,
        "weights channels-last": weights,
        "weights and norms channels-last": norms.requires_grad_(False).eval(),
    }
    variants = {name: step_embedded_once(network, *given) for name, network in networks.items()}
    variants["as used, with cudnn.benchmark"] = tuned(variants[AS_USED])
    return compared(bench, variants, size, dtype, baseline=AS_USED)


def channels_last(module: Module) -> Module:
    return module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def tuned(step: Step) -> Step:
    """The step with the convolutions that cuDNN found fastest by trying them."""

    def tuned_step() -> Tensor:
        before, torch.backends.cudnn.benchmark = torch.backends.cudnn.benchmark, True
        try:
            return step()
        finally:
            torch.backends.cudnn.benchmark = before

    return tuned_step


def group_norm(bench: Bench, channels: int, width: int, height: int) -> list[Row]:
    """Group norm, SiLU and convolution of 33 frames, as residual blocks have them, in several memory layouts.

    width, height: of the features.
    """
    channels, frames, width, height = (32, 2, 8, 8) if bench.tiny else (channels, 33, width, height)
    places = {
        "each frame": ((frames, channels, height, width), (3, 3)),
        "along time": ((1, channels, frames, height * width), (3, 1)),  # see TemporalConv
    }
    made = {"device": bench.device, "dtype": bench.dtype("fp16")}
    rows: list[Row] = []
    for place, (shape, kernel) in places.items():
        x, x_last = torch.randn(shape, **made), torch.randn(shape, **made).contiguous(memory_format=torch.channels_last)
        conv = nn.Conv2d(channels, channels, kernel, padding=(1, kernel[1] // 2), **made)
        conv_last = channels_last(copy.deepcopy(conv))
        norm, norm_last = (kind(NORM_GROUPS, channels, **made) for kind in (nn.GroupNorm, ChannelsLastGroupNorm))
        rows += [
            norm_row(bench, f"{place}: contiguous", x, norm, conv),
            norm_row(bench, f"{place}: channels-last input, as used", x_last, norm, conv),
            norm_row(bench, f"{place}: weights channels-last too", x_last, norm, conv_last),
            norm_row(bench, f"{place}: norm channels-last too", x_last, norm_last, conv_last),
        ]
    return rows


@torch.no_grad()
def norm_row(bench: Bench, name: str, x: Tensor, norm: nn.GroupNorm, conv: nn.Conv2d) -> Row:
    works = {
        "norm, ms": lambda: norm(x),
        "norm, SiLU and convolution, ms": lambda: conv(silu_(norm(x))),
    }
    row: Row = {"variant": name}
    for column, cost in costs(bench, works, calls=20).items():
        row[column] = OUT_OF_MEMORY if cost is None else cost.milliseconds
    kept = norm(x).is_contiguous(memory_format=torch.channels_last)
    return row | {"the norm's result": "channels-last" if kept else "contiguous"}


def compiled(bench: Bench) -> list[Row]:
    """A guided step as used and by torch.compile. The first step compiles both of its passes."""
    size, dtype = bench.size(*COMPARED_SIZE), bench.dtype("fp16")
    given = inputs(bench.config, *size, bench.device, dtype)
    unet = bench.network(dtype)
    other = sharing_weights(unet, unet.backend.split_bytes)
    # On a CPU, where this is only tried, the graph runs as it is: inductor would compile for many minutes.
    other.denoise = torch.compile(other.denoise, backend="inductor" if bench.device.type == "cuda" else "eager")
    variants = {AS_USED: step_embedded_once(unet, *given), COMPILED: step_embedded_once(other, *given)}
    try:
        return compared(bench, variants, size, dtype, baseline=AS_USED)
    finally:
        torch.compiler.reset()
