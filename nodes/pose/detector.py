"""The DWPose networks under ComfyUI's memory management: kept between runs, and let go when it needs the memory."""

from __future__ import annotations

import os

import comfy.model_management
import comfy.model_patcher
import torch
from comfy_api.latest import io

from ...unianimate_core.pose import PoseDetector
from .. import model_files
from ..model_files import DETECTOR, KEYPOINT_NETWORK

DEVICES = ["auto", "cuda", "directml", "coreml", "cpu"]


class DetectorPatcher(comfy.model_patcher.ModelPatcher):
    """Makes an open PoseDetector one of ComfyUI's loaded models, so that 'free memory' reaches it too."""

    def __init__(self, detector: PoseDetector, size: int):
        super().__init__(
            torch.nn.Module(),
            load_device=comfy.model_management.get_torch_device(),
            offload_device=torch.device("cpu"),
            size=size,
        )
        self.detector = detector
        self.open = False

    def model_dtype(self):
        return torch.float32

    def loaded_size(self):
        return self.size if self.open else 0

    def partially_load(self, device_to, extra_memory=0, force_patch_weights=False):
        self.open = True
        return self.size

    def partially_unload(self, device_to, memory_to_free=0, *_, **__):
        return 0

    def detach(self, unpatch_all=True):
        if unpatch_all:  # without, ComfyUI only takes the model off its list to put it back in front
            self.open = False
            self.detector.release()


# At most one pair of networks is kept: (files with their times, device) and its patcher.
_kept: tuple[tuple, DetectorPatcher] | None = None


def detector_inputs() -> list[io.Input]:
    """Which networks find people and key points, and where they run."""
    return [
        io.Combo.Input(
            "detector", options=model_files.choices(DETECTOR), tooltip="yolox_l.onnx, in models/dwpose: finds people."
        ),
        io.Combo.Input(
            "keypoint_network",
            options=model_files.choices(KEYPOINT_NETWORK),
            tooltip="dw-ll_ucoco_384.onnx, in models/dwpose: finds their joints, hands and faces.",
        ),
        io.Combo.Input(
            "device",
            options=DEVICES,
            default="auto",
            tooltip="Where onnxruntime runs them. auto takes the fastest that works and says which; any other is used "
            "or refused. For NVIDIA cards install onnxruntime-gpu.",
        ),
    ]


def open_detector(detector: str, keypoint_network: str, device: str) -> PoseDetector:
    """The two networks, those of the last run where nothing has changed.

    Raises FileNotFoundError, saying where to get a file, and PoseError as PoseDetector does.
    """
    global _kept
    paths = (model_files.path_of(detector, DETECTOR), model_files.path_of(keypoint_network, KEYPOINT_NETWORK))
    key = (*((path, os.path.getmtime(path)) for path in paths), device)
    if _kept is None or _kept[0] != key:
        if _kept is not None:
            _kept[1].detach()
        opened = PoseDetector(*paths, device)
        size = 0 if opened.device == "cpu" else sum(os.path.getsize(path) for path in paths)
        _kept = (key, DetectorPatcher(opened, size))
    comfy.model_management.load_models_gpu([_kept[1]])
    return _kept[1].detector
