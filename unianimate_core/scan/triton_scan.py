"""The scan in Triton, for GPUs of CUDA and ROCm; in Triton's interpreter it runs on a CPU, for tests."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from .triton_kernels import backward_kernel, forward_kernel

# Indexed by a grid, a kernel takes what Triton makes of its signature.
launch_forward: Any = forward_kernel
launch_backward: Any = backward_kernel

# A program's channels, 4 and 2 for each thread of its one warp: as many as fit its registers with all their states.
CHANNELS = 128
BACKWARD_CHANNELS = 64
# Programs of the backward pass keep their sequence's states in memory: so many at once, and no more than fit here.
PROGRAMS_A_PROCESSOR = 8
HISTORY_BYTES = 2**29
LOG2_E = math.log2(math.e)


def forward(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    z: Tensor | None,
    added: Tensor | None,
    reverse: bool,
) -> Tensor:
    y = torch.empty_like(u)
    sequences, frames, channels = u.shape
    out = y if _walkable(y) else torch.empty_like(u, memory_format=torch.contiguous_format)
    tensors = [_as_walked(x) for x in (u, delta, B, C, u if z is None else z, u if added is None else added)]
    u, delta, B, C, z_or_u, added_or_u = tensors
    if u.numel():
        with _device_of(u):
            launch_forward[(sequences, _blocks(channels, CHANNELS))](
                u, delta, _rate(A), B, C, D.float().contiguous(), z_or_u, added_or_u, out,
                frames, channels, A.shape[1],
                *_strides(*tensors, out),
                **_constants(A, reverse, z, added, CHANNELS),
            )  # fmt: skip
    return out if out is y else y.copy_(out)


def backward(
    grad: Tensor,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    z: Tensor | None,
    added: Tensor | None,
    reverse: bool,
) -> tuple[Tensor, ...]:
    """Gradients of u, delta, A, B, C, D and z; without z, the last is empty."""
    sequences, frames, channels = u.shape
    constants = _constants(A, reverse, z, added, BACKWARD_CHANNELS)
    blocks = _blocks(channels, BACKWARD_CHANNELS)
    programs = _programs(u, blocks, constants["STATES"])
    made = [torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in (u, delta, u[:0] if z is None else z)]
    dA, dD = (torch.zeros(programs, *x.shape, dtype=torch.float32, device=u.device) for x in (A, D))
    dB, dC = (torch.zeros(blocks, *x.shape, dtype=torch.float32, device=u.device) for x in (B, C))
    tensors = [_as_walked(x) for x in (grad, u, delta, B, C, u if z is None else z, u if added is None else added)]
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
    """Triton launches on the current device, wherever the tensors are."""
    return torch.cuda.device(u.device) if u.is_cuda else nullcontext()


def _constants(A: Tensor, reverse: bool, z: Tensor | None, added: Tensor | None, channels: int) -> dict:
    return {
        "REVERSE": reverse,
        "GATED": z is not None,
        "ADDED": added is not None,
        "STATES": 1 << (A.shape[1] - 1).bit_length(),  # a power of 2, as Triton wants it
        "CHANNELS": channels,
        "num_warps": 1,
    }


def _blocks(channels: int, size: int) -> int:
    return -(-channels // size)


def _programs(u: Tensor, blocks: int, states: int) -> int:
    """How many programs of the backward pass share the sequences of each block of channels."""
    processors = torch.cuda.get_device_properties(u.device).multi_processor_count if u.is_cuda else 1
    fitting = HISTORY_BYTES // (max(1, u.shape[1]) * states * BACKWARD_CHANNELS * 4)
    return max(1, min(len(u), PROGRAMS_A_PROCESSOR * processors // blocks, fitting // blocks))


def _rate(A: Tensor) -> Tensor:
    """For powers of 2; finite, so that its product with a step that half precision rounds to 0 is 0."""
    return (A.float() * LOG2_E).clamp(min=torch.finfo(torch.float32).min).contiguous()


def _walkable(x: Tensor) -> bool:
    return x.stride(-1) == 1


def _as_walked(x: Tensor) -> Tensor:
    """x itself where its channels are contiguous."""
    if x.dtype == torch.float64:
        raise ValueError("Triton scans in single precision, the tensors are of double: choose the back end torch")
    return x if _walkable(x) else x.contiguous()


def _strides(*tensors: Tensor) -> list[int]:
    return [stride for x in tensors for stride in x.stride()[:2]]
