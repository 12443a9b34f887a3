"""Which code computes a scan: chosen for the device, told in the log once, and never exchanged in silence."""

from __future__ import annotations

import importlib
import logging
import os
from functools import cache
from types import ModuleType

import torch

logger = logging.getLogger(__name__)

# Fastest first by what they do (no GPU has timed them yet): kernels that keep the state in registers, of which Triton's
# waste nothing on short sequences and mamba-ssm's pad them to 128 frames, then a loop that every machine runs.
BACKENDS = ("triton", "mamba_ssm", "torch")
MODULES = {"triton": ".triton_scan", "mamba_ssm": ".mamba_ssm_scan", "torch": ".blocked"}
# What "auto" stands for, where this is set: for those who cannot reach the code's own options.
ENVIRONMENT = "UNIANIMATE_SCAN"

HOW_TO_INSTALL = {
    "triton": (
        "it comes with PyTorch for CUDA and ROCm on Linux; on Windows run pip install triton-windows, "
        "in the version made for your PyTorch"
    ),
    "mamba_ssm": (
        "on Linux with the compiler of CUDA or ROCm run pip install mamba-ssm --no-build-isolation, which builds "
        "selective_scan_cuda for the PyTorch that is there (PyPI holds the source alone)"
    ),
}


def check_name(backend: str) -> None:
    if backend not in ("auto", *BACKENDS):
        raise ValueError(f"the scan's back end is {backend!r}: give auto, {', '.join(BACKENDS[:-1])} or torch")


def resolve(backend: str, device_type: str) -> str:
    """The back end that scans tensors on this kind of device. Raises ImportError where the one asked for cannot."""
    if backend == "auto":
        backend = os.environ.get(ENVIRONMENT) or "auto"
        check_name(backend)
    if backend == "auto":
        return _fastest(device_type)
    if reason := absence(backend, device_type):
        raise ImportError(
            f"the scan cannot use {backend} ({reason}): {HOW_TO_INSTALL[backend]}; or choose auto or torch"
        )
    return backend


# As torch.compiler.assume_constant_result marks it: that would import all of Dynamo, which takes a second.
vars(resolve)["_dynamo_marked_constant"] = True


def load(backend: str) -> ModuleType:
    """The module of a back end, with its functions forward and backward."""
    return importlib.import_module(MODULES[backend], __package__)


@cache
def absence(backend: str, device_type: str) -> str | None:
    """Why this back end cannot work on a kind of device, or None where it can."""
    if backend == "torch":
        return None
    if device_type != "cuda" and not (backend == "triton" and os.environ.get("TRITON_INTERPRET") == "1"):
        return f"the tensors are on {device_type}, it works on a GPU of CUDA or ROCm"
    try:
        _scan_once(backend, device_type)
    except (
        Exception
    ) as error:  # a build for another PyTorch or card fails in ways of its own: OSError, RuntimeError, ...
        return f"{type(error).__name__}: {error}".split("\n")[0]
    return None


def _scan_once(backend: str, device_type: str) -> None:
    """The smallest scan: what imports well may still lack a compiler, or kernels for this card."""
    module = load(backend)
    u = torch.ones(1, 1, 1, device=device_type)
    module.forward(u, u, -u[0], u, u, u[0, 0], None, None, False).cpu()


@cache
def _fastest(device_type: str) -> str:
    """Asked once for each kind of device, so the log tells it once. Triton's interpreter is only for tests."""
    candidates = BACKENDS if device_type == "cuda" else ("torch",)
    absent = {name: absence(name, device_type) for name in candidates}
    chosen = next(name for name in candidates if absent[name] is None)
    why = "; ".join(f"not {name}, {reason}" for name, reason in absent.items() if reason and name != chosen)
    level = logging.WARNING if device_type == "cuda" and chosen == "torch" else logging.INFO
    slow = f", which is slow on a GPU. For Triton: {HOW_TO_INSTALL['triton']}" if level == logging.WARNING else ""
    logger.log(level, f"the temporal Mamba scans with {chosen} on {device_type}{f' ({why})' if why else ''}{slow}")
    return chosen
