"""DWPose: finds people and their keypoints in images, and in videos of any length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ..keypoints import Pose, PoseError
from .onnx_session import DETECTOR, KEYPOINT_NETWORK, Network
from .pipeline import PosePipeline, checked_frame, cores, cpu_workers, estimate, search
from .yolox import Detections


class PoseDetector:
    """The two DWPose networks, loaded until `release`.

    Frames are uint8 BGR (h, w, 3); their sizes may differ. Frames and crops run in batches if the networks accept
    batches. Reading, resizing, inference and decoding overlap.
    """

    def __init__(self, detector_path: str | Path, pose_path: str | Path, device: str = "auto") -> None:
        """detector_path: yolox_l.onnx; pose_path: dw-ll_ucoco_384.onnx; device: auto, cuda, directml, coreml or cpu.

        "auto" takes the fastest device that loads, and logs which. Any other device is used or refused, never replaced.
        Raises PoseError if a file is missing or wrong, or if the device does not load, and ImportError if onnxruntime
        is missing.
        """
        self._files = (detector_path, pose_path)
        self._requested_device = device
        self._networks: tuple[Network, Network] | None = None
        self.devices = tuple(network.device for network in self._loaded())
        """The devices of the detector and of the keypoint network."""

    @property
    def device(self) -> str:
        """The device of both networks, or "X and Y" if they differ."""
        return " and ".join(dict.fromkeys(self.devices))

    def release(self) -> None:
        """Frees the memory of the networks. The next call loads them again."""
        self._networks = None

    def __call__(self, frames_bgr: Iterable[np.ndarray], *, detect_every: int = 1) -> list[list[Pose]]:
        """The people of each frame, best score first; an empty list if it shows nobody. Options as `iter_poses`."""
        return list(self.iter_poses(frames_bgr, detect_every=detect_every))

    def iter_poses(self, frames_bgr: Iterable[np.ndarray], *, detect_every: int = 1) -> Iterator[list[Pose]]:
        """Yields the people of each frame, so that memory does not grow with the length of the video.

        detect_every: searches every n-th frame for people and moves their boxes in straight lines in between. If two
        searched frames do not clearly show the same people, the frames between them are searched too. 1 is exact.
        Searching a frame costs seven times as much as the keypoints of one person.
        """
        if detect_every < 1:
            raise PoseError(f"detect_every is {detect_every}: it must be 1 or more frames")
        detector, keypoint_network = self._loaded()
        with PosePipeline(detector, keypoint_network) as pipeline:
            yield from pipeline.people(iter(frames_bgr), detect_every)

    def wholebody(self, frame_bgr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Keypoints (n, 134, 2) in pixels and scores (n, 134) of the n people of one image, best score first.

        As in the authors' code, the whole image counts as one person if nobody is found.
        """
        frame = checked_frame(frame_bgr)
        boxes = self.detections(frame).boxes
        if not len(boxes):
            boxes = np.array([[0, 0, frame.shape[1], frame.shape[0]]], np.float32)
        return estimate(self._loaded()[1], [(frame, box) for box in boxes])

    def detections(self, frame_bgr: np.ndarray) -> Detections:
        """The boxes of the people of one image."""
        return search(self._loaded()[0], [checked_frame(frame_bgr)])[0]

    def require_people(self, frame_bgr: np.ndarray, name: str = "reference image") -> list[Pose]:
        """The people of one image, best score first. Raises PoseError if there is nobody; `name` is the image's."""
        people = self([frame_bgr])[0]
        if people:
            return people
        height, width = frame_bgr.shape[:2]
        raise PoseError(
            f"nobody was found in the {name} of {width}x{height} pixels (best score "
            f"{self.detections(frame_bgr).best_score:.2f}, above 0.30 is needed): use one that shows a person clearly"
        )

    def _loaded(self) -> tuple[Network, Network]:
        if self._networks is None:
            threads = max(1, cores() // cpu_workers())
            self._networks = (
                Network(self._files[0], DETECTOR, self._requested_device, threads),
                Network(self._files[1], KEYPOINT_NETWORK, self._requested_device, threads),
            )
        return self._networks
