"""The choice of the code that computes a scan. The log names it once, and nothing replaces a forced choice."""

from __future__ import annotations

import importlib
import logging
import os
from functools import cache
from types import ModuleType

import torch

from .inputs import ScanInputs

logger = logging.getLogger(__name__)

# Expected fastest first; no GPU has timed them yet. Both kernels keep the state in registers. Triton's runs over the
# given frames; mamba-ssm's pads short sequences to 128 frames. The loop in torch runs on every machine.
BACKENDS = ("triton", "mamba_ssm", "torch")
MODULES = {"triton": ".triton_scan", "mamba_ssm": ".mamba_ssm_scan", "torch": ".blocked"}
# This environment variable replaces "auto", for users who cannot set the option in code.
ENVIRONMENT = "UNIANIMATE_SCAN"

HOW_TO_INSTALL = {
    "triton": (
        "it comes with PyTorch for CUDA and ROCm on Linux; on Windows run pip install triton-windows, "
        "in the version for your PyTorch"
    ),
    "mamba_ssm": (
        "on Linux with the compiler of CUDA or ROCm run pip install mamba-ssm --no-build-isolation, which builds "
        "selective_scan_cuda for your PyTorch (PyPI has only the source)"
    ),
}


def check_name(backend: str) -> None:
    """Raises ValueError if there is no such back end."""
    if backend not in ("auto", *BACKENDS):
        raise ValueError(f"the scan's back end is {backend!r}: give auto, {', '.join(BACKENDS[:-1])} or torch")


def resolve(backend: str, device_type: str) -> str:
    """The back end that scans tensors on this type of device. Raises ImportError if a forced one does not work."""
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


# What torch.compiler.assume_constant_result sets. Calling that would import all of Dynamo, which takes a second.
vars(resolve)["_dynamo_marked_constant"] = True


def load(backend: str) -> ModuleType:
    """The module of a back end: forward(inputs) and, except for mamba_ssm, backward(grad, inputs)."""
    return importlib.import_module(MODULES[backend], __package__)


@cache
def absence(backend: str, device_type: str) -> str | None:
    """The reason why this back end does not work on a type of device, or None if it works.

    A build for another PyTorch or GPU may raise any error when it loads or runs, not only ImportError.
    """
    if backend == "torch":
        return None
    if device_type != "cuda" and not (backend == "triton" and os.environ.get("TRITON_INTERPRET") == "1"):
        return f"the tensors are on {device_type}, it needs a GPU with CUDA or ROCm"
    try:
        _scan_once(backend, device_type)
    except Exception as error:
        return f"{type(error).__name__}: {error}".split("\n")[0]
    return None


def _scan_once(backend: str, device_type: str) -> None:
    """Runs the smallest scan. A back end that imports may still lack a compiler, or kernels for this GPU."""
    module = load(backend)
    u = torch.ones(1, 1, 1, device=device_type)
    module.forward(ScanInputs(u, u, -u[0], u, u, u[0, 0])).cpu()


@cache
def _fastest(device_type: str) -> str:
    """Cached, so the log names the choice once per type of device. Skips Triton's interpreter, which is for tests."""
    candidates = BACKENDS if device_type == "cuda" else ("torch",)
    absent = {name: absence(name, device_type) for name in candidates}
    chosen = next(name for name in candidates if absent[name] is None)
    why = "; ".join(f"not {name}, {reason}" for name, reason in absent.items() if reason and name != chosen)
    level = logging.WARNING if device_type == "cuda" and chosen == "torch" else logging.INFO
    slow = f", which is slow on a GPU. For Triton: {HOW_TO_INSTALL['triton']}" if level == logging.WARNING else ""
    logger.log(level, f"the temporal Mamba scans with {chosen} on {device_type}{f' ({why})' if why else ''}{slow}")
    return chosen
