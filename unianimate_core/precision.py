"""In which numbers a network computes, and what "auto" means on a device."""

from __future__ import annotations

import logging
from typing import Literal

import torch

Precision = Literal["auto", "fp16", "bf16", "fp32"]
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}

log = logging.getLogger(__name__)


def dtype_of(precision: str, device: torch.device | str) -> torch.dtype:
    """The dtype of a precision on a device; see auto_precision for "auto". Raises ValueError for any other name."""
    if precision == "auto":
        precision = auto_precision(device)
    if precision not in DTYPES:
        raise ValueError(f"precision is {precision!r}: choose one of auto, {', '.join(DTYPES)}")
    return DTYPES[precision]


def auto_precision(device: torch.device | str) -> str:
    """The fastest precision that keeps quality: fp16 on a GPU; on a CPU bf16 if it computes in bf16, else fp32.

    Without such units bf16 is about six times slower than fp32. The choice is logged.
    """
    device = torch.device(device)
    if device.type != "cpu":
        return "fp16"
    precision = "bf16" if cpu_has_bf16() else "fp32"
    log.info("%s on this CPU, which has %sbf16 units", precision, "" if precision == "bf16" else "no ")
    return precision


def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bf16 itself (AVX-512 BF16, AMX, or Arm's BF16)."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "_is_arm_bf16_supported")
    return any(check() for name in checks if (check := getattr(torch.cpu, name, None)) is not None)
