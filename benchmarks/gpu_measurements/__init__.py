"""All that benchmarks.gpu measures, most valuable first. Estimates: seconds on the host, and of an H100."""

from __future__ import annotations

from functools import partial

from .coding import stable_diffusion, taesd
from .measurement import Bench, Measurement, Section
from .network import compiled, group_norm, guided_step, layouts, memory_factor
from .temporal_modules import NETWORK, back_ends, figure_6
from .training_steps import lora_step, mini_step, whole_step
from .transfer import offloading
from .whole_clip import clip

__all__ = ["SECTIONS", "Bench", "Measurement", "Section"]

LEVEL_LENGTHS = (17, 33, 65, 129, 257, 513)
NETWORK_LENGTHS = (17, 33, 65, 129, 257)


def step(precision: str, frames: int, width: int, height: int, *, card_seconds: float) -> Measurement:
    measure = partial(guided_step, precision=precision, frames=frames, width=width, height=height)
    return Measurement(f"{precision}, {frames} frames of {width}x{height}", measure, 8, card_seconds)


def factor(frames: int, width: int, height: int) -> Measurement:
    measure = partial(memory_factor, frames=frames, width=width, height=height)
    return Measurement(f"fp16, {frames} frames of {width}x{height}", measure, 5, 2)


def norm(channels: int, width: int, height: int) -> Measurement:
    measure = partial(group_norm, channels=channels, width=width, height=height)
    return Measurement(f"{channels} channels of {width}x{height}", measure, 1, 3)


def scan(sequences: int, channels: int, precision: str, *, card_seconds: float) -> Measurement:
    measure = partial(back_ends, sequences=sequences, channels=channels, precision=precision)
    return Measurement(f"{sequences} x 33 x {channels} x 16, {precision}", measure, 15, card_seconds)


def figure(place: str, lengths: tuple[int, ...], host_seconds: float, card_seconds: float) -> Measurement:
    return Measurement(place, partial(figure_6, place=place, lengths=lengths), host_seconds, card_seconds)


SECTIONS = (
    Section(
        "One guided step",
        "Two passes of the network. Naive: conditions are embedded at each step, nothing is made in pieces. Ceiling: a "
        "large matrix product of the same precision. Peak: with weights; working: beside weights and inputs. "
        "Difference: relative to the first row.",
        (
            step("fp16", 32, 512, 768, card_seconds=12),
            step("bf16", 32, 512, 768, card_seconds=12),
            step("fp16", 64, 512, 768, card_seconds=24),
            step("fp16", 16, 512, 768, card_seconds=6),
            step("fp16", 32, 768, 1216, card_seconds=40),
        ),
    ),
    Section(
        "memory_usage_factor",
        "Working memory of one pass, beside weights and inputs, and the memory_usage_factor of nodes/host_model.py by "
        "which ComfyUI would set aside as much. Counted: by benchmarks.memory. Allocated: by tensors. Reserved: in the "
        "allocator's blocks, which is what must be free.",
        (
            factor(32, 512, 768),
            factor(16, 512, 768),
            factor(64, 512, 768),
            factor(32, 768, 1216),
            factor(1, 512, 768),
        ),
    ),
    Section(
        "Offloading",
        "All weights in fp16 between main memory and the GPU.",
        (
            Measurement("pinned memory", partial(offloading, pinned=True), 10, 3),
            Measurement("pageable memory", partial(offloading, pinned=False), 3, 12),
        ),
    ),
    Section(
        "Memory layouts",
        "The guided step of 32 frames of 512x768 in fp16, as above, changed in one thing.",
        (Measurement("layouts", layouts, 8, 40),),
    ),
    Section(
        "Group norm",
        "Of the 33 frames of a clip at a level of the network, by frame and along time. On CUDA, PyTorch's "
        "group norm may copy channels-last input; the channels-last norm is in gpu_measurements/network.py.",
        (norm(320, 64, 96), norm(640, 32, 48), norm(1280, 16, 24)),
    ),
    Section(
        "torch.compile",
        "The same guided step. The first step compiles both passes.",
        (Measurement("torch.compile", compiled, 240, 12),),
    ),
    Section(
        "The selective scan",
        "Sequences x frames x channels x states; both directions and the gate. The first shape is that of "
        "the reports on CPUs, the next are the first level of the released size with a Mamba of expand 2 and 1.",
        (
            scan(1536, 128, "bf16", card_seconds=5),
            scan(6144, 640, "bf16", card_seconds=15),
            scan(6144, 320, "bf16", card_seconds=10),
            scan(1536, 128, "fp32", card_seconds=5),
        ),
    ),
    Section(
        "Temporal modules against frames",
        "Figure 6 of the paper: the released size at 512x768 in bf16. Frames include the reference. Mamba is without "
        "feed-forward.",
        (
            figure("level 1", LEVEL_LENGTHS, 3, 15),
            figure(NETWORK, NETWORK_LENGTHS, 40, 100),
            figure("level 2", LEVEL_LENGTHS, 3, 8),
            figure("level 3", LEVEL_LENGTHS, 3, 6),
            figure("middle", LEVEL_LENGTHS, 3, 4),
        ),
    ),
    Section(
        "VAE",
        "32 frames of 512x768 in fp32, as the core encodes and decodes them: TAESD's form at once, with the weights of "
        "UniAnimate-mini, and Stable Diffusion's one frame at a time, with random weights.",
        (
            Measurement("TAESD's form", taesd, 2, 2),
            Measurement("Stable Diffusion's form", stable_diffusion, 12, 25),
        ),
    ),
    Section(
        "Training",
        "Loss, gradients and optimizer in bf16 mixed precision. The released size: one clip a pass, gradient "
        "checkpointing, AdamW.",
        (
            Measurement("mini, 32 clips of 4 frames of 128x192", partial(mini_step, batch=32), 8, 3),
            Measurement("LoRA of rank 16, 16 frames of 512x768", partial(lora_step, frames=16), 8, 12),
            Measurement("LoRA of rank 16, 32 frames of 512x768", partial(lora_step, frames=32), 8, 24),
            Measurement("all weights, 16 frames of 512x768", partial(whole_step, frames=16), 8, 15),
        ),
    ),
    Section(
        "A whole clip",
        "32 frames of 512x768 by the pipeline in fp16: 31 guided steps, a VAE of TAESD's form, no CLIP. Moving the VAE "
        "between main memory and the GPU is part of encoding and decoding.",
        (Measurement("30 DDIM steps", clip, 8, 60),),
    ),
)
