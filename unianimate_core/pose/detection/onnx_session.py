"""Opens an ONNX network on the requested device, and never silently on another."""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from ...optional import require
from ..keypoints import PoseError

log = logging.getLogger(__name__)

PROVIDERS = {
    "cuda": "CUDAExecutionProvider",
    "directml": "DmlExecutionProvider",
    "coreml": "CoreMLExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""Device -> onnxruntime's provider, fastest first: "auto" takes the first that loads."""

OPTIONS = {"CUDAExecutionProvider": {"cudnn_conv_algo_search": "HEURISTIC"}}  # the default search takes minutes

PACKAGES = {"cuda": "onnxruntime-gpu", "directml": "onnxruntime-directml", "coreml": "onnxruntime for macOS"}


@dataclass(frozen=True)
class NetworkFile:
    """How to recognize one of the two networks, and where to get its file.

    size: bytes. inputs, outputs: name -> shape, with None for a free size (the batch).
    """

    title: str
    name: str
    size: int
    inputs: dict[str, tuple[int | None, ...]]
    outputs: dict[str, tuple[int | None, ...]]
    source: str = "Hugging Face yzd-v/DWPose"

    def matches(self, session: Any) -> bool:
        """Whether a session has these inputs and outputs."""
        return _fits(session.get_inputs(), self.inputs) and _fits(session.get_outputs(), self.outputs)


DETECTOR = NetworkFile(
    title="the person detector",
    name="yolox_l.onnx",
    size=216_746_733,
    inputs={"images": (None, 3, 640, 640)},
    outputs={"output": (None, 8400, 85)},
)
KEYPOINT_NETWORK = NetworkFile(
    title="the keypoint network",
    name="dw-ll_ucoco_384.onnx",
    size=134_399_116,
    inputs={"input": (None, 3, 384, 288)},
    outputs={"simcc_x": (None, 133, 576), "simcc_y": (None, 133, 768)},
)


class Network:
    """An open ONNX network with one input. Several threads may call it.

    device: the device it runs on. batch: how many inputs one pass takes, or None for any number.
    """

    def __init__(self, path: str | Path, file: NetworkFile, device: str = "auto", threads: int = 0) -> None:
        """file: which network the path must hold. device: "auto" or a key of `PROVIDERS`. threads: CPU threads per
        call, 0 for all.

        Raises PoseError if the file is missing, damaged or another network, or if the device is not available.
        """
        path = _checked_path(path, file)
        self.device, self._session = _open(path, file, device, threads)
        if not file.matches(self._session):
            raise PoseError(_mismatch(path, file, self._session))
        batch = self._session.get_inputs()[0].shape[0]
        self.batch = batch if isinstance(batch, int) and batch > 0 else None
        self._input = self._session.get_inputs()[0].name
        self._outputs = list(file.outputs)
        self._lock = Lock() if self.device == "directml" else nullcontext()  # DirectML takes one call at a time

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        """float32 (n, ...) -> the outputs, each (n, ...). A network with a fixed batch runs several times."""
        size = self.batch or len(batch)
        parts = [self._run(batch[start : start + size], size) for start in range(0, len(batch), size)]
        return parts[0] if len(parts) == 1 else [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def _run(self, batch: np.ndarray, size: int) -> list[np.ndarray]:
        count = len(batch)
        if count < size:
            batch = np.concatenate([batch, np.zeros((size - count, *batch.shape[1:]), batch.dtype)])
        with self._lock:
            return [output[:count] for output in self._session.run(self._outputs, {self._input: batch})]


def _open(path: Path, file: NetworkFile, device: str, threads: int) -> tuple[str, Any]:
    available = _onnxruntime().get_available_providers()
    if device == "auto":
        candidates = [name for name, provider in PROVIDERS.items() if provider in available]
    elif device not in PROVIDERS:
        raise PoseError(f"device is {device!r}: choose one of auto, {', '.join(PROVIDERS)}")
    elif PROVIDERS[device] not in available:
        raise PoseError(
            f"device is {device!r}, but this onnxruntime offers only {', '.join(available)}: "
            f"install {PACKAGES.get(device, 'onnxruntime')}, or choose 'auto' or 'cpu'"
        )
    else:
        candidates = [device]
    reasons = []
    for candidate in candidates:
        session, reason = _session(path, file, candidate, threads)
        if session is not None:
            (log.warning if device == "auto" and candidate == "cpu" else log.info)(
                "%s runs on %s (requested: %s; available: %s)%s",
                *(file.name, candidate, device, ", ".join(available), "".join(f"; {reason}" for reason in reasons)),
            )
            return candidate, session
        reasons.append(f"{candidate} does not load: {reason}")
    raise PoseError(f"{file.title} cannot run on {device!r}: {'; '.join(reasons)}; correct that, or choose 'cpu'")


def _session(path: Path, file: NetworkFile, device: str, threads: int) -> tuple[Any, str]:
    """A session and "", or None and the reason why the provider does not load."""
    runtime = _onnxruntime()
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # errors are raised below
    options.intra_op_num_threads = threads
    if device == "directml":
        options.enable_mem_pattern = False  # DirectML requires this and the next line
        options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    provider = PROVIDERS[device]
    try:
        session = runtime.InferenceSession(
            str(path), options, providers=[provider], provider_options=[OPTIONS.get(provider, {})]
        )
    except Exception as error:  # onnxruntime's own exceptions share no base class
        if device != "cpu" and not _is_about_the_file(error):
            return None, _one_line(error)
        raise PoseError(
            f"{path} cannot be read as an ONNX network ({_one_line(error)}): it is damaged or its download is "
            f"incomplete ({path.stat().st_size:,} bytes, {file.name} has {file.size:,}); download it again from "
            f"{file.source}"
        ) from error
    if session.get_providers()[0] != provider:
        return None, _load_failure(provider)
    return session, ""


@cache
def _onnxruntime() -> Any:
    onnxruntime = require("onnxruntime", "pose detection", extra="pose")
    if hasattr(onnxruntime, "preload_dlls") and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        onnxruntime.preload_dlls()  # the CUDA libraries that torch installed
    return onnxruntime


def _load_failure(provider: str) -> str:
    """Why a provider did not load. onnxruntime only logs it; loading its library again raises it."""
    if provider != PROVIDERS["cuda"]:
        return "onnxruntime gives no reason"
    folder = Path(_onnxruntime().__file__).parent / "capi"
    prefix, suffix = ("", ".dll") if os.name == "nt" else ("lib", ".dylib" if sys.platform == "darwin" else ".so")
    try:
        for part in ("shared", "cuda"):
            ctypes.CDLL(str(folder / f"{prefix}onnxruntime_providers_{part}{suffix}"), mode=ctypes.RTLD_GLOBAL)
    except OSError as error:
        return _one_line(error)
    return "its libraries load, but no usable NVIDIA card or driver was found"


def _checked_path(path: str | Path, file: NetworkFile) -> Path:
    path = Path(path)
    if path.is_file():
        return path
    raise PoseError(
        f"{file.title} is not at {path}: download {file.name} ({file.size:,} bytes) from {file.source} "
        f"and put it into {path.parent}"
    )


def _mismatch(path: Path, file: NetworkFile, session: Any) -> str:
    for other in (DETECTOR, KEYPOINT_NETWORK):
        if other is not file and other.matches(session):
            return f"{path} is {other.title}, but {file.title} ({file.name}) is needed here: exchange the two files"
    found = ", ".join(f"{value.name} {value.shape}" for value in (*session.get_inputs(), *session.get_outputs()))
    return f"{path} is not {file.title}: it has {found}; use {file.name} from {file.source}"


def _fits(values: Any, wanted: dict[str, tuple[int | None, ...]]) -> bool:
    found = {value.name: value.shape for value in values}
    return all(name in found and _shape_fits(found[name], shape) for name, shape in wanted.items())


def _shape_fits(found: list[Any], wanted: tuple[int | None, ...]) -> bool:
    """Whether all sizes agree. A size that the file leaves open (a name or None) agrees with any."""
    return len(found) == len(wanted) and all(
        size is None or not isinstance(given, int) or given == size for given, size in zip(found, wanted, strict=True)
    )


def _is_about_the_file(error: Exception) -> bool:
    return type(error).__name__ in ("InvalidProtobuf", "InvalidGraph", "NoSuchFile", "InvalidArgument", "NoModel")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
