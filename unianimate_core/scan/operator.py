"""The scan as an operator of PyTorch: opaque to torch.compile, with gradients, and with shapes on meta tensors.

Operators take flat tensors: the fields of ScanInputs in their order, then the back end. Only this file flattens them.
The backward pass recomputes the states, so training keeps only the inputs: 3 to 5 tensors of n f E.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .backends import load
from .inputs import ScanInputs

FIELDS = "Tensor u, Tensor delta, Tensor A, Tensor B, Tensor C, Tensor D, Tensor? z, Tensor? added, bool reverse"


@torch.library.custom_op("unianimate::selective_scan", mutates_args=(), schema=f"({FIELDS}, str backend) -> Tensor")
def scan(*flat: Any) -> Tensor:
    """selective_scan without its checks, by the back end torch or triton."""
    *fields, backend = flat
    inputs = ScanInputs(*fields)
    with torch.autocast(inputs.u.device.type, enabled=False):
        return load(backend).forward(inputs)


@scan.register_fake
def _(u, *_):
    return torch.empty_like(u)


@torch.library.custom_op(
    "unianimate::selective_scan_backward",
    mutates_args=(),
    schema=f"(Tensor grad, {FIELDS}, str backend) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
)
def scan_backward(grad: Tensor, *flat: Any) -> tuple[Tensor, ...]:
    """Gradients of u, delta, A, B, C, D and z, each in the dtype of its tensor. Without z, the last is empty."""
    *fields, backend = flat
    inputs = ScanInputs(*fields)
    with torch.autocast(inputs.u.device.type, enabled=False):
        gradients = load(backend).backward(grad, inputs)
    tensors = (*inputs[:6], inputs.u if inputs.z is None else inputs.z)
    return tuple(gradient.to(tensor.dtype) for gradient, tensor in zip(gradients, tensors, strict=True))


@scan_backward.register_fake
def _(grad, *flat):
    inputs = ScanInputs(*flat[:-1])
    tensors = (*inputs[:6], inputs.u.new_empty(0) if inputs.z is None else inputs.z)
    return tuple(torch.empty_like(x, memory_format=torch.contiguous_format) for x in tensors)


def _save_inputs(ctx: Any, inputs: tuple, output: Tensor) -> None:
    *tensors, ctx.reverse, ctx.backend = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, grad: Tensor) -> tuple:
    inputs = ScanInputs(*ctx.saved_tensors, reverse=ctx.reverse)
    *gradients, grad_z = scan_backward(grad, *inputs, ctx.backend)
    z, added = inputs.z, inputs.added
    grad_added = None
    if added is not None:
        grad_added = (grad if z is None else grad * F.silu(z)).to(added.dtype)
    return (*gradients, None if z is None else grad_z, grad_added, None, None)


scan.register_autograd(_backward, setup_context=_save_inputs)
