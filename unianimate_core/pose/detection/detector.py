"""DWPose: people and their key points in images and videos of any length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ..keypoints import Pose, PoseError
from .onnx_session import DETECTOR, KEYPOINT_NETWORK, Network
from .people import Detections
from .pipeline import PosePipeline, checked_frame, cores, cpu_workers, estimate, search


class PoseDetector:
    """The two DWPose networks, open until `release`.

    Frames are uint8 BGR (h, w, 3) of any size, each of its own if need be. Frames and crops go through in batches
    where the networks take batches; reading, resizing, inference and decoding overlap.
    """

    def __init__(self, detector_path: str | Path, pose_path: str | Path, device: str = "auto") -> None:
        """detector_path: yolox_l.onnx, pose_path: dw-ll_ucoco_384.onnx; device: auto, cuda, directml, coreml or cpu.

        "auto" takes the best device that loads and logs which; any other is used or refused. Raises PoseError with
        the reason.
        """
        self._files = (detector_path, pose_path)
        self._asked_for = device
        self._networks: tuple[Network, Network] | None = None
        self.devices = tuple(network.device for network in self._open())
        """The devices of the detector and of the key-point network."""

    @property
    def device(self) -> str:
        """The device that both run on, or both devices where they differ."""
        return " and ".join(dict.fromkeys(self.devices))

    def release(self) -> None:
        """Gives the networks' memory back. The next call opens them again."""
        self._networks = None

    def __call__(self, frames_bgr: Iterable[np.ndarray], *, detect_every: int = 1) -> list[list[Pose]]:
        """People by frame, best score first; frames without anybody give an empty list. Options as `iter_poses`."""
        return list(self.iter_poses(frames_bgr, detect_every=detect_every))

    def iter_poses(self, frames_bgr: Iterable[np.ndarray], *, detect_every: int = 1) -> Iterator[list[Pose]]:
        """As the call, frame by frame: memory does not grow with the length of the video.

        detect_every: people are searched in every n-th frame, and followed in a straight line in between; where the
        people of two searched frames are not evidently the same, the frames between them are searched too. 1 is
        exact; searching costs seven times what the key points of a person cost.
        """
        if detect_every < 1:
            raise PoseError(f"detect_every is {detect_every}: it must be 1 or more frames")
        detector, keypoint_network = self._open()
        with PosePipeline(detector, keypoint_network) as pipeline:
            yield from pipeline.people(iter(frames_bgr), detect_every)

    def wholebody(self, frame_bgr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Key points (n, 134, 2) in pixels and scores (n, 134) of the n people of one image, best score first.

        As in the authors' code, the whole image counts as one person where nobody is found.
        """
        frame = checked_frame(frame_bgr)
        boxes = self.detections(frame).boxes
        if not len(boxes):
            boxes = np.array([[0, 0, frame.shape[1], frame.shape[0]]], np.float32)
        return estimate(self._open()[1], [(frame, box) for box in boxes])

    def detections(self, frame_bgr: np.ndarray) -> Detections:
        """The boxes of the people of one image."""
        return search(self._open()[0], [checked_frame(frame_bgr)])[0]

    def require_people(self, frame_bgr: np.ndarray, name: str = "reference image") -> list[Pose]:
        """The people of one image, best score first. Raises PoseError, naming the image, where there is nobody."""
        people = self([frame_bgr])[0]
        if people:
            return people
        height, width = frame_bgr.shape[:2]
        raise PoseError(
            f"nobody was found in the {name} of {width}x{height} pixels (best score "
            f"{self.detections(frame_bgr).best_score:.2f}, above 0.30 is needed): use one that shows a person clearly"
        )

    def _open(self) -> tuple[Network, Network]:
        if self._networks is None:
            threads = max(1, cores() // cpu_workers())
            self._networks = (
                Network(self._files[0], DETECTOR, self._asked_for, threads),
                Network(self._files[1], KEYPOINT_NETWORK, self._asked_for, threads),
            )
        return self._networks
