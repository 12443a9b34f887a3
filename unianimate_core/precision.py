"""The precisions that a network can compute in, and the one that "auto" chooses for a device."""

from __future__ import annotations

import logging
from typing import Literal

import torch

Precision = Literal["auto", "fp16", "bf16", "fp32"]
DTYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}

log = logging.getLogger(__name__)


def dtype_of(precision: str, device: torch.device | str) -> torch.dtype:
    """The dtype of a precision. For "auto" see auto_precision. Raises ValueError for a name that is not in DTYPES."""
    if precision == "auto":
        precision = auto_precision(device)
    if precision not in DTYPES:
        raise ValueError(f"precision is {precision!r}: choose one of auto, {', '.join(DTYPES)}")
    return DTYPES[precision]


def auto_precision(device: torch.device | str) -> str:
    """The fastest precision that keeps the quality: fp16 on a GPU; on a CPU bf16 if it has bf16 units, else fp32.

    On a CPU without them bf16 is about six times slower than fp32. The choice for a CPU is logged.
    """
    device = torch.device(device)
    if device.type != "cpu":
        return "fp16"
    precision = "bf16" if cpu_has_bf16() else "fp32"
    log.info("%s on this CPU, which has %sbf16 units", precision, "" if precision == "bf16" else "no ")
    return precision


def cpu_has_bf16() -> bool:
    """Whether the processor has instructions that multiply bf16: AVX-512 BF16, AMX, or Arm's BF16."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "_is_arm_bf16_supported")
    return any(check() for name in checks if (check := getattr(torch.cpu, name, None)) is not None)
