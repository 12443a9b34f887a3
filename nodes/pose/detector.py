"""The DWPose networks under ComfyUI's memory management: kept between runs, released when it needs the memory."""

from __future__ import annotations

import os

import comfy.model_management
import comfy.model_patcher
import torch
from comfy_api.latest import io

from ...unianimate_core.model_files import BBOX_DETECTOR, POSE_ESTIMATOR
from ...unianimate_core.pose import PoseDetector
from .. import model_files
from ..messages import say

DEVICES = ["auto", "cuda", "directml", "coreml", "cpu"]


class DetectorPatcher(comfy.model_patcher.ModelPatcher):
    """Puts an open PoseDetector on ComfyUI's list of loaded models, so that "free memory" reaches it too."""

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
        if unpatch_all:  # otherwise ComfyUI only moves the model to the front of its list
            self.open = False
            self.detector.release()


# At most one pair of networks is kept: (files with their times, device) and its patcher.
_kept: tuple[tuple, DetectorPatcher] | None = None


def detector_inputs(*, advanced: bool = False) -> list[io.Input]:
    """Which networks find people and their keypoints, and where they run."""
    return [
        io.Combo.Input(
            "bbox_detector",
            options=model_files.choices(BBOX_DETECTOR),
            tooltip="Network that finds people: yolox_l.onnx in models/dwpose.",
            advanced=advanced,
        ),
        io.Combo.Input(
            "pose_estimator",
            options=model_files.choices(POSE_ESTIMATOR),
            tooltip="Network that finds the keypoints of each person: dw-ll_ucoco_384.onnx in models/dwpose.",
            advanced=advanced,
        ),
        io.Combo.Input(
            "device",
            options=DEVICES,
            default="auto",
            tooltip="Where onnxruntime runs both networks; auto takes the fastest device that works and shows it on "
            "the node (NVIDIA cards need onnxruntime-gpu).",
            advanced=advanced,
        ),
    ]


def open_detector(bbox_detector: str, pose_estimator: str, device: str) -> PoseDetector:
    """The two networks; those of the last run if nothing has changed.

    Raises FileNotFoundError, which names the download, if a file is missing, and PoseError as PoseDetector does.
    """
    global _kept
    paths = (model_files.path_of(bbox_detector, BBOX_DETECTOR), model_files.path_of(pose_estimator, POSE_ESTIMATOR))
    key = (*((path, os.path.getmtime(path)) for path in paths), device)
    if _kept is None or _kept[0] != key:
        if _kept is not None:
            _kept[1].detach()
        opened = PoseDetector(*paths, device)
        size = 0 if opened.device == "cpu" else sum(os.path.getsize(path) for path in paths)
        _kept = (key, DetectorPatcher(opened, size))
    comfy.model_management.load_models_gpu([_kept[1]])
    return _kept[1].detector


def show_device(node_id: str | None, device: str) -> None:
    """Say where the networks run, and warn if they could run faster."""
    if "cpu" in device and torch.cuda.is_available():
        say(
            node_id,
            "DWPose runs on the CPU, which is slow: install onnxruntime-gpu in place of onnxruntime (see the log)",
        )
    else:
        say(node_id, f"DWPose runs on {device}", level="info")
