"""The scan as an operator of PyTorch: opaque to torch.compile, known to autograd, and of known shape on meta tensors.

What backward needs is recomputed there, so that training keeps the inputs alone, 3 to 5 tensors of n f E.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .backends import load

INPUTS = "Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor D, Tensor? z, Tensor? added"
CHOICES = "bool reverse, str backend"


@torch.library.custom_op("unianimate::selective_scan", mutates_args=(), schema=f"({INPUTS}, {CHOICES}) -> Tensor")
def scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    z: Tensor | None,
    added: Tensor | None,
    reverse: bool,
    backend: str,
) -> Tensor:
    """As selective_scan, unchecked, by the back end torch or triton."""
    module = load(backend)
    with torch.autocast(u.device.type, enabled=False):
        return module.forward(u, delta, A, B, C, D, z, added, reverse)


@scan.register_fake
def _(u, *_):
    return torch.empty_like(u)


@torch.library.custom_op(
    "unianimate::selective_scan_backward",
    mutates_args=(),
    schema=f"(Tensor grad, {INPUTS}, {CHOICES}) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def scan_backward(
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
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of u, delta, A, B, C, D and z, each in the precision of its tensor; without z, the last is empty."""
    module = load(backend)
    with torch.autocast(u.device.type, enabled=False):
        gradients = module.backward(grad, u, delta, A, B, C, D, z, added, reverse)
    tensors = (u, delta, A, B, C, D, u if z is None else z)
    return tuple(gradient.to(tensor.dtype) for gradient, tensor in zip(gradients, tensors, strict=True))  # type: ignore


@scan_backward.register_fake
def _(grad, u, delta, A, B, C, D, z, *_):
    like = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in (u, delta, A, B, C, D))
    return (*like, u.new_empty(0) if z is None else torch.empty_like(z, memory_format=torch.contiguous_format))


def _keep(ctx: Any, inputs: tuple, output: Tensor) -> None:
    *tensors, ctx.reverse, ctx.backend = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, grad: Tensor) -> tuple:
    tensors = ctx.saved_tensors
    z, added = tensors[-2:]
    *gradients, grad_z = scan_backward(grad, *tensors, ctx.reverse, ctx.backend)
    grad_added = None
    if added is not None:
        grad_added = (grad if z is None else grad * F.silu(z)).to(added.dtype)
    return (*gradients, None if z is None else grad_z, grad_added, None, None)


scan.register_autograd(_backward, setup_context=_keep)
