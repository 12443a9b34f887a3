"""Long video: is memory flat, is time linear, and what do chaining and windows cost beside sampling?

Each length runs in a process of its own: segments are sampled, decoded, kept on disk and written to a video.

    python -m benchmarks.long_video                                       lengths of 64 to 1,800 frames, tiny, on a CPU
    python -m benchmarks.long_video --released --lengths 64 128           the released size, on a GPU
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from unianimate_core.config import RELEASED, ModelConfig
from unianimate_core.diffusion import ddim_sample, ddim_timesteps, guided
from unianimate_core.long_video.chain import split_segments
from unianimate_core.long_video.run import plan_chain, run_chain, segment_images
from unianimate_core.long_video.seams import PAPERS, Handover
from unianimate_core.long_video.segment_store import SegmentStore, open_run
from unianimate_core.long_video.windows import window_ranges
from unianimate_core.media.video import video_writer
from unianimate_core.model import UNet
from unianimate_core.precision import DTYPES
from unianimate_core.sampling import SamplingSettings, initial_latents
from unianimate_core.vae.linear import decode_enlarged

from .denoise import count_flops, peak_memory
from .report import RESULTS, random_unet, synchronize, table, write

# Small enough for a minute of video on a CPU: what is measured is all that surrounds the network.
SMALL = ModelConfig(
    dim=32,
    multipliers=(1, 2),
    residual_blocks=1,
    attention_levels=(True, False),
    head_dim=16,
    stem_width=32,
    context_dim=32,
    image_tokens=1,
)
LENGTHS = (64, 256, 1024, 1800)
SEGMENT, WINDOW, OVERLAP = 32, 32, 8


class Clock:
    """Seconds spent in each part of a run: processor time on a CPU, which others may share, else wall time."""

    def __init__(self, device: torch.device):
        self.device = device
        self.spent: dict[str, float] = {}

    def now(self) -> float:
        synchronize(self.device)
        return time.process_time() if self.device.type == "cpu" else time.perf_counter()

    def timed(self, part: str, work):
        start = self.now()
        result = work()
        self.spent[part] = self.spent.get(part, 0.0) + self.now() - start
        return result


class ClockedStore:
    """A store of segments whose writing is timed."""

    def __init__(self, store: SegmentStore, clock: Clock):
        self.store, self.clock = store, clock

    def load(self, index: int, key: str) -> dict[str, Tensor] | None:
        return self.store.load(index, key)

    def save(self, index: int, key: str, tensors: Mapping[str, Tensor]) -> None:
        self.clock.timed("keeping", lambda: self.store.save(index, key, tensors))


def chain(unet: UNet, total: int, width: int, height: int, steps: int, device: torch.device) -> dict:
    """Make a video of `total` frames; returns what each part took."""
    config, clock = unet.config, Clock(device)
    generator = torch.Generator().manual_seed(0)
    text = torch.zeros(1, 77, config.context_dim, device=device, dtype=unet.dtype)
    reference = torch.randn(1, 4, 1, height // 8, width // 8, generator=generator).to(device)
    pose = torch.rand(1, 3, SEGMENT, height, width, generator=generator).to(device)

    def sample(frames: range, handover: Handover | None, seed: int) -> Tensor:
        conditions = {"pose": pose[:, :, : len(frames)], "reference_latent": reference}
        if handover is not None:
            conditions["first_frame"] = handover.image.to(device)
        start = initial_latents(conditions, SamplingSettings(seed), long_video=True).to(unet.dtype)
        denoiser = guided(unet, conditions, text, SamplingSettings.guidance_scale)
        return clock.timed("sampling", lambda: ddim_sample(denoiser, start, steps).float().cpu())

    def decode(latents: Tensor) -> Tensor:
        return clock.timed("decoding", lambda: decode_enlarged(latents))

    plan = plan_chain(split_segments(total, SEGMENT), PAPERS, 0, run="benchmark", pose_hash=str)
    began = clock.now()
    with tempfile.TemporaryDirectory() as folder:
        run = open_run(folder, "benchmark")
        with run as store, video_writer(Path(folder) / "video.mp4", 30) as video:
            latents = []
            for segment in run_chain(plan, ClockedStore(store, clock), sample, decode):
                for images in segment_images(segment, decode):
                    encode(video, images, clock)
                latents.append(segment.latents)
                del segment
    return clock.spent | {"total": clock.now() - began, "latents": sum(x.nbytes for x in latents)}


def encode(video, images: Tensor, clock: Clock) -> None:
    for image in rearrange(images, "1 c f h w -> f h w c"):
        clock.timed("encoding", lambda p=image: video.write((255 * p).round().byte().numpy()))


def measure(arguments: argparse.Namespace) -> dict:
    """One length in this process, and how far memory grew beyond what stood before its first segment."""
    device, dtype = torch.device(arguments.device), DTYPES[arguments.dtype]
    unet = random_unet(RELEASED if arguments.released else SMALL, device, dtype)
    size = (arguments.width, arguments.height, arguments.steps, device)
    chain(unet, SEGMENT + 1, *size)  # warm-up: whatever is allocated once
    result = {}

    def work() -> Tensor:
        result.update(chain(unet, arguments.one, *size))
        return torch.empty(0)

    return {"peak": peak_memory(work, device)} | result


def in_own_process(arguments: argparse.Namespace, length: int) -> dict:
    command = [sys.executable, "-m", "benchmarks.long_video", *sys.argv[1:], "--one", str(length)]
    # Or glibc keeps freed blocks for itself as it pleases, more of them with time.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def frames_computed(total: int) -> dict[str, int]:
    """How many frames each way samples for a video of `total`."""
    return {
        "chain": sum(map(len, split_segments(total, SEGMENT))),
        "windows, even": sum(map(len, window_ranges(total, WINDOW, OVERLAP, "even"))),
        "windows, upstream": sum(map(len, window_ranges(total, WINDOW, OVERLAP, "upstream"))),
    }


def counted_overhead(width: int, height: int, steps: int) -> tuple[float, float, float]:
    """FLOP of sampling a segment at the released size, and what chaining adds to it, as shares.

    The shares: of the frame that is sampled twice, and of the first frame's features. The image handed over is one
    that the video needs anyway: it is decoded once.
    """
    passes = 2 * len(ddim_timesteps(steps))
    embedding, one_pass = count_flops(RELEASED, SEGMENT, width, height)
    _, one_less = count_flops(RELEASED, SEGMENT - 1, width, height)
    unet = UNet(RELEASED, device="meta", split_bytes=None).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        unet.conditions.first_frame(torch.empty(1, 3, 1, height, width, device="meta"))
    sampling = passes * one_pass + embedding
    return sampling, passes * (one_pass - one_less) / sampling, counter.get_total_flops() / sampling


def parse() -> argparse.Namespace:
    gpu = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=list(LENGTHS), help="frames of each video")
    parser.add_argument("--width", type=int, default=128, help="pixels, a multiple of 64")
    parser.add_argument("--height", type=int, default=128, help="pixels, a multiple of 64")
    parser.add_argument("--steps", type=int, default=1, help="denoising steps")
    parser.add_argument("--released", action="store_true", help="the released size instead of a tiny network")
    parser.add_argument("--dtype", choices=DTYPES, default="fp16" if gpu else "fp32")
    parser.add_argument("--device", default="cuda" if gpu else "cpu")
    parser.add_argument("--output", type=Path, help="of the report; in benchmarks/results unless given")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = parse()
    if arguments.one is not None:
        print(json.dumps(measure(arguments)))
        return
    device = torch.device(arguments.device)
    results = {length: in_own_process(arguments, length) for length in arguments.lengths}
    rows = []
    first = results[arguments.lengths[0]]
    for length, result in results.items():
        outside = result["peak"] - result["latents"]
        beside = result["total"] - result["sampling"]
        rows.append(
            [
                f"{length:,}",
                f"{result['peak'] / 1e6:.0f}",
                f"{result['latents'] / 1e6:.1f}",
                f"{outside / (first['peak'] - first['latents']):.3f}",
                f"{1000 * result['total'] / length:.1f}",
                f"{beside / result['sampling']:.0%}",
            ]
        )
    per_frame = [result["total"] / length for length, result in results.items()]
    header = ["frames", "peak MB", "of that latents", "the rest, of the first", "ms a frame", "beside sampling"]
    computed = [
        [f"{length:,}", *(f"{count:,} ({count / length:.3f})" for count in frames_computed(length).values())]
        for length in arguments.lengths
    ]
    sampling, shared, embedding = counted_overhead(512, 768, 30)
    weights = "with the weights" if device.type == "cuda" else "beyond what stood before the first segment"
    network = "The released network" if arguments.released else "A tiny network"
    body = f"""
{network}, segments of {SEGMENT} frames of {arguments.width}x{arguments.height} pixels, {arguments.steps} steps, \
{arguments.dtype}. Each length in a process of its own, decoded by the linear stand-in for a VAE, every segment kept \
on disk and encoded as H.264. Peak memory is counted {weights}.

{table(header, rows)}

Time a frame ({"of the processor" if device.type == "cpu" else "of the wall"}) differs by at most \
{max(per_frame) / min(per_frame) - 1:.0%} between lengths (median {1000 * statistics.median(per_frame):.1f} ms).

Frames that are sampled for a video, and their ratio to its length (segments of {SEGMENT}; windows of {WINDOW} sharing \
{OVERLAP}):

{table(["frames", *frames_computed(64)], computed)}

A segment of {SEGMENT} frames of 512x768 at the released size, counted with 30 steps: {sampling / 1e12:,.0f} TFLOP \
of sampling. Chaining adds {shared:.1%} for the frame it shares with the one before, and {100 * embedding:.1g}% for \
the features of its first frame; no image is decoded twice.
"""
    name = f"long_video_{'released_' if arguments.released else ''}{device.type}.md"
    write(arguments.output or RESULTS / name, "Long video", device, body)


if __name__ == "__main__":
    main()
