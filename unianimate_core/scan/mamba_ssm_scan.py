"""The scan by the package mamba-ssm, which needs its compiled part."""

from __future__ import annotations

# The compiled part. This import fails with its name if it is missing.
import selective_scan_cuda  # noqa: F401  # pyright: ignore[reportMissingImports]
import torch
import torch.nn.functional as F
from mamba_ssm.ops.selective_scan_interface import selective_scan_fn  # pyright: ignore[reportMissingImports]
from torch import Tensor

from .inputs import ScanInputs


def forward(inputs: ScanInputs) -> Tensor:
    """The scan with its gradients. The kernel takes n E f, one dtype for what changes over time, and fp32 A and D."""
    u, delta, A, B, C, D, z, added, reverse = inputs
    if u.dtype == torch.float64:
        raise ValueError("mamba-ssm scans in fp32, u is fp64: choose the back end torch")
    if not u.numel():
        return u * D.to(u.dtype)  # empty, with gradients: the kernel cannot run over no sequences

    def arranged(x: Tensor) -> Tensor:
        x = x.flip(1) if reverse else x
        return x.transpose(1, 2).to(u.dtype).contiguous()

    fused_gate = None if z is None or added is not None else arranged(z)
    y = selective_scan_fn(
        arranged(u),
        arranged(delta),
        A.float().clamp(min=torch.finfo(torch.float32).min),
        arranged(B),
        arranged(C),
        D.float(),
        fused_gate,
        None,
        False,
    )
    y = y.transpose(1, 2)
    y = y.flip(1) if reverse else y
    if added is not None:
        y = y + added
        y = y if z is None else y * F.silu(z)
    return y.to(u.dtype)
