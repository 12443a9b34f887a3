"""The scan in Triton, for GPUs with CUDA or ROCm. Tests run it on a CPU in Triton's interpreter."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from .inputs import ScanInputs
from .triton_kernels import backward_kernel, forward_kernel

# Any: a kernel indexed by a grid takes other arguments than its Python signature.
launch_forward: Any = forward_kernel
launch_backward: Any = backward_kernel

# Channels of a program: 4 and 2 for each thread of its one warp, as many as fit the registers with all their states.
CHANNELS = 128
BACKWARD_CHANNELS = 64
# Programs of the backward pass keep the states of their sequence in memory. These limit how many run at once.
PROGRAMS_A_PROCESSOR = 8
HISTORY_BYTES = 2**29
LOG2_E = math.log2(math.e)


def forward(inputs: ScanInputs) -> Tensor:
    u, delta, A, B, C, D, z, added, _ = inputs
    y = torch.empty_like(u)
    sequences, frames, channels = u.shape
    out = y if _channels_contiguous(y) else torch.empty_like(u, memory_format=torch.contiguous_format)
    tensors = [_prepared(x) for x in (u, delta, B, C, u if z is None else z, u if added is None else added)]
    u, delta, B, C, z_or_u, added_or_u = tensors
    if u.numel():
        with _device_of(u):
            launch_forward[(sequences, _blocks(channels, CHANNELS))](
                u, delta, _rate(A), B, C, D.float().contiguous(), z_or_u, added_or_u, out,
                frames, channels, A.shape[1],
                *_strides(*tensors, out),
                **_constants(inputs, CHANNELS),
            )  # fmt: skip
    return out if out is y else y.copy_(out)


def backward(grad: Tensor, inputs: ScanInputs) -> tuple[Tensor, ...]:
    """Gradients of u, delta, A, B, C, D and z. Without z, the last is empty."""
    u, delta, A, B, C, D, z, added, _ = inputs
    sequences, frames, channels = u.shape
    constants = _constants(inputs, BACKWARD_CHANNELS)
    blocks = _blocks(channels, BACKWARD_CHANNELS)
    programs = _programs(u, blocks, constants["STATES"])
    made = [torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in (u, delta, u[:0] if z is None else z)]
    dA, dD = (torch.zeros(programs, *x.shape, dtype=torch.float32, device=u.device) for x in (A, D))
    dB, dC = (torch.zeros(blocks, *x.shape, dtype=torch.float32, device=u.device) for x in (B, C))
    tensors = [_prepared(x) for x in (grad, u, delta, B, C, u if z is None else z, u if added is None else added)]
    if u.numel():
        history = dA.new_empty(programs * blocks * frames * constants["STATES"] * BACKWARD_CHANNELS)
        grad, u, delta, B, C, z_or_u, added_or_u = tensors
        with _device_of(u):
            launch_backward[(programs, blocks)](
                grad, u, delta, _rate(A), B, C, D.float().contiguous(), z_or_u, added_or_u,
                *made, dA, dB, dC, dD, history,
                sequences, frames, channels, A.shape[1],
                *_strides(*tensors),
                **constants,
            )  # fmt: skip
    du, ddelta, dz = made
    return du, ddelta, dA.sum(0), dB.sum(0), dC.sum(0), dD.sum(0), dz


def _device_of(u: Tensor) -> AbstractContextManager:
    """A context that makes the device of u current: Triton launches on the current device."""
    return torch.cuda.device(u.device) if u.is_cuda else nullcontext()


def _constants(inputs: ScanInputs, channels: int) -> dict:
    """What a kernel is compiled for."""
    return {
        "REVERSE": inputs.reverse,
        "GATED": inputs.z is not None,
        "ADDED": inputs.added is not None,
        "STATES": 1 << (inputs.A.shape[1] - 1).bit_length(),  # Triton needs a power of 2
        "CHANNELS": channels,
        "num_warps": 1,
    }


def _blocks(channels: int, size: int) -> int:
    return -(-channels // size)


def _programs(u: Tensor, blocks: int, states: int) -> int:
    """The number of programs that share the sequences of each block of channels in the backward pass."""
    processors = torch.cuda.get_device_properties(u.device).multi_processor_count if u.is_cuda else 1
    fitting = HISTORY_BYTES // (max(1, u.shape[1]) * states * BACKWARD_CHANNELS * 4)
    return max(1, min(len(u), PROGRAMS_A_PROCESSOR * processors // blocks, fitting // blocks))


def _rate(A: Tensor) -> Tensor:
    """A times log2(e), for powers of 2. Finite: half precision may round delta to 0, and their product must be 0."""
    return (A.float() * LOG2_E).clamp(min=torch.finfo(torch.float32).min).contiguous()


def _channels_contiguous(x: Tensor) -> bool:
    return x.stride(-1) == 1


def _prepared(x: Tensor) -> Tensor:
    """x with contiguous channels: x itself if it has them, else a copy. Raises ValueError if x is fp64."""
    if x.dtype == torch.float64:
        raise ValueError("Triton scans in fp32, a tensor is fp64: choose the back end torch")
    return x if _channels_contiguous(x) else x.contiguous()


def _strides(*tensors: Tensor) -> list[int]:
    return [stride for x in tensors for stride in x.stride()[:2]]
