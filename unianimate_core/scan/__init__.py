"""The selective scan: the recurrence at the heart of Mamba, over the frames of many short sequences.

    h_t = exp(delta_t A) * h_(t-1) + delta_t u_t B_t,    y_t = h_t C_t + D u_t

n sequences, f frames, E channels, s states per channel. Several back ends compute it and agree: see backends.
"""

from __future__ import annotations

from torch import Tensor

from .backends import BACKENDS, check_name, load, resolve
from .inputs import ScanInputs
from .operator import scan

__all__ = ["BACKENDS", "selective_scan"]


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    z: Tensor | None = None,
    *,
    added: Tensor | None = None,
    reverse: bool = False,
    backend: str = "auto",
) -> Tensor:
    """(y + added) * silu(z), differentiable in every tensor. Without z or added, the formula drops that term.

    u, delta, z, added and the result: n f E; delta is positive. A: E s, negative; D: E; B, C: n f s. n may be 0, and
    tensors may have any strides. reverse: the recurrence runs from the last frame to the first; y_t stays at frame t.
    The state is fp64 if u is, else fp32. The result has the dtype of u.
    backend: "auto" picks the fastest back end that works and logs its name; "torch", "triton" or "mamba_ssm" force one.
    Raises ValueError if shapes do not fit, and ImportError if a forced back end does not work.
    Source: Gu and Dao 2023, algorithm 2 (A discretized exactly, B by its first-order term).
    """
    inputs = ScanInputs(u, delta, A, B, C, D, z, added, reverse)
    inputs.check_shapes()
    check_name(backend)
    backend = resolve(backend, u.device.type)
    if backend == "mamba_ssm":  # its kernel has its own gradients
        return load(backend).forward(inputs)
    return scan(*inputs, backend)
