"""One training step on a CPU: frames per second of small networks, and what each part made for CPUs saves.

OMP_NUM_THREADS=1 python -m benchmarks.training
python -m benchmarks.training --widths 64,64,96 --width 128 --height 128 --profile
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from unianimate_core.config import ModelConfig
from unianimate_core.model import UNet
from unianimate_core.training.data.clips import Clips
from unianimate_core.training.data.dropping import DROPPABLE
from unianimate_core.training.loss import DenoisingLoss, empty_text
from unianimate_core.training.network import cpu_layers
from unianimate_core.training.optimizers.groups import make_optimizers
from unianimate_core.training.settings import TrainingSettings

from .denoise import matmul_ceiling
from .report import RESULTS, interleaved, spread, table, write

WIDTHS = ((32, 64, 96), (64, 64, 96), (64, 96, 96), (64, 128, 256))
SIZES = ((64, 128), (128, 128), (128, 192))  # width x height
SHARE_DRAWN = 0.1  # of a pose image that is not black, as measured of drawn people at 128x192
AS_USED, ADAMW, PYTORCH, FULL = "as used", "AdamW instead of Muon", "PyTorch's layers", "fp32"


def network(widths: tuple[int, ...]) -> ModelConfig:
    """A network with these channels per level; all levels but the first have transformers."""
    return ModelConfig(
        dim=32,
        multipliers=tuple(width // 32 for width in widths),
        residual_blocks=1,
        attention_levels=(False, *[True] * (len(widths) - 1)),
        head_dim=32,
        stem_width=32,
        context_dim=32,
        image_tokens=1,
    )


def made_up_clips(batch: int, frames: int, width: int, height: int) -> Clips:
    """Noise, guided by poses and a reference. The pose images are mostly black."""
    h, w = height // 8, width // 8
    drawn = torch.zeros(batch, frames + 1, height, width, 3, dtype=torch.uint8)
    drawn[:, :, : int(height * SHARE_DRAWN**0.5), : int(width * SHARE_DRAWN**0.5)] = 200
    always = torch.ones(batch, dtype=torch.bool)
    return Clips(
        latents=torch.randn(batch, 4, frames, h, w),
        noise=torch.randn(batch, 4, frames, h, w),
        t=torch.randint(1000, (batch,)),
        pose=drawn[:, 1:],
        reference_pose=drawn[:, :1],
        reference_latent=torch.randn(batch, 4, 1, h, w),
        first_frame=drawn[:, :1],
        image=None,
        kept={name: always if name != "first_frame" else ~always for name in DROPPABLE},
        names=["made up"] * batch,
    )


def training_step(config: ModelConfig, clips: Clips, *, layers: bool, muon: bool, half: bool) -> Callable[[], object]:
    """A step of training. layers: use those made for CPUs; otherwise PyTorch's, over whole pose images."""
    torch.manual_seed(0)
    own = {"operations": cpu_layers, "attention": cpu_layers.attention} if layers else {}
    unet = UNet(config, split_bytes=None, **own).train()
    unet.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    settings = TrainingSettings(
        width=64, height=64, optimizer="muon" if muon else "adamw", precision="bf16" if half else "fp32"
    )
    loss = DenoisingLoss(unet, empty_text(config), settings)
    optimizers = make_optimizers(dict(unet.named_parameters()), settings)

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            value = loss(clips).mean()
        value.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    return step


def variants_of(config: ModelConfig, clips: Clips) -> dict[str, Callable[[], object]]:
    return {
        AS_USED: training_step(config, clips, layers=True, muon=True, half=True),
        ADAMW: training_step(config, clips, layers=True, muon=False, half=True),
        PYTORCH: training_step(config, clips, layers=False, muon=True, half=True),
        FULL: training_step(config, clips, layers=True, muon=True, half=False),
    }


def measure(widths: tuple[int, ...], size: tuple[int, int], arguments: argparse.Namespace, ceiling: float) -> list[str]:
    """One row of the table."""
    config, clips = network(widths), made_up_clips(arguments.batch, arguments.frames, *size)
    variants = variants_of(config, clips)
    with FlopCounterMode(display=False) as counter:
        variants[PYTORCH]()
    for step in variants.values():
        step()
    times = interleaved(variants, arguments.steps, torch.device("cpu"))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    parameters = sum(p.numel() for p in UNet(config, device="meta").parameters())
    return [
        " ".join(map(str, widths)),
        f"{parameters / 1e6:.1f}",
        f"{size[0]}x{size[1]}",
        spread(times[AS_USED]),
        f"{arguments.batch * arguments.frames / medians[AS_USED]:.1f}",
        *(f"{medians[name] / medians[AS_USED]:.2f}" for name in (ADAMW, PYTORCH, FULL)),
        f"{counter.get_total_flops() / medians[AS_USED] / ceiling:.0%}",
    ]


def profile(widths: tuple[int, ...], size: tuple[int, int], arguments: argparse.Namespace) -> None:
    step = variants_of(network(widths), made_up_clips(arguments.batch, arguments.frames, *size))[AS_USED]
    step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        step()
    print(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=25, max_name_column_width=50))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", action="append", help="channels of each level, such as 64,64,96; may be repeated")
    parser.add_argument("--width", type=int, help="pixels; 64, 128 and 128 unless given")
    parser.add_argument("--height", type=int, help="pixels; 128, 128 and 192 unless given")
    parser.add_argument("--batch", type=int, default=8, help="clips")
    parser.add_argument("--frames", type=int, default=4, help="of each clip")
    parser.add_argument("--steps", type=int, default=5, help="measured steps of each variant")
    parser.add_argument("--profile", action="store_true", help="show where one step spends its time, and end")
    parser.add_argument("--output", type=Path, default=RESULTS / "training_cpu.md", help="of the report")
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    device = torch.device("cpu")
    chosen = arguments.widths and [tuple(map(int, widths.split(","))) for widths in arguments.widths]
    sizes = [(arguments.width, arguments.height)] if arguments.width and arguments.height else SIZES
    if arguments.profile:
        profile((chosen or WIDTHS)[0], sizes[0], arguments)
        return
    ceiling = matmul_ceiling(device, torch.bfloat16, arguments.steps)
    rows = [measure(widths, size, arguments, ceiling) for widths in chosen or WIDTHS for size in sizes]
    header = [
        "channels",
        "M parameters",
        "pixels",
        "s a step",
        "frames a second",
        *(ADAMW, PYTORCH, FULL),
        "of ceiling",
    ]
    body = f"""
Steps of {arguments.batch} clips of {arguments.frames} frames and their reference, bf16 autocast, Muon. Median of \
{arguments.steps} steps taken in turns after a warm-up, and their range; then how many times as long a step takes with \
one thing changed: AdamW, PyTorch's own layers and whole pose images, fp32. Ceiling: {ceiling / 1e9:.0f} GFLOP/s in \
a large bf16 matrix product in the same run; work is counted as PyTorch's layers do it.

{table(header, rows)}
"""
    write(arguments.output, "Training steps of small networks", device, body)


if __name__ == "__main__":
    main()
