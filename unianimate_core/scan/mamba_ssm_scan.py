"""The scan by mamba-ssm, where it is installed together with its compiled part."""

from __future__ import annotations

# The compiled part, without which mamba-ssm cannot scan: imported by name, so that its absence is told as such.
import selective_scan_cuda  # noqa: F401  # pyright: ignore[reportMissingImports]
import torch
import torch.nn.functional as F
from mamba_ssm.ops.selective_scan_interface import selective_scan_fn  # pyright: ignore[reportMissingImports]
from torch import Tensor


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
    """As selective_scan. The kernel wants n E f, one precision for all that changes over time, and fp32 for A and D."""
    if u.dtype == torch.float64:
        raise ValueError("mamba-ssm scans in single precision, the tensors are of double: choose the back end torch")
    if not u.numel():
        return u * D.to(u.dtype)  # nothing, but with gradients: a kernel cannot be launched over it

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
