"""Runs a video through both networks. Reading, resizing, inference and decoding overlap; few frames are in memory."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice, pairwise

import numpy as np

from ..keypoints import Pose, PoseError
from .boxes_over_time import boxes_between, matched_boxes
from .onnx_session import Network
from .simcc import crop, crop_region, decode_simcc, in_openpose_order
from .yolox import Detections, decode_people, letterbox_scale, letterboxed

CHUNK = 8
"""Frames whose keypoints are estimated together. Meanwhile the next chunk is searched and the one after it read."""
CROPS_ON_CPU, CROPS_ON_GPU = 2, 8
"""Crops per pass of the keypoint network."""
FRAMES_ON_GPU = 4
"""Frames per pass of the detector, if its file accepts any number (the released one accepts one)."""
GPU_WORKERS = 3
"""Threads that feed a GPU: one infers while the others resize and decode."""


def search(detector: Network, frames: list[np.ndarray]) -> list[Detections]:
    """The people in each frame, uint8 BGR (h, w, 3)."""
    output = detector(np.stack([letterboxed(frame) for frame in frames]))[0]
    return [decode_people(head, letterbox_scale(frame.shape)) for head, frame in zip(output, frames, strict=True)]


def estimate(network: Network, people: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints (n, 134, 2) in pixels and scores (n, 134). people: n pairs of a frame and a box."""
    regions = [crop_region(box) for _, box in people]
    crops = np.stack([crop(frame, *region) for (frame, _), region in zip(people, regions, strict=True)])
    simcc_x, simcc_y = network(crops)
    centers, sizes = (np.array(values, np.float64) for values in zip(*regions, strict=True))
    return in_openpose_order(*decode_simcc(simcc_x, simcc_y, centers, sizes))


def checked_frame(frame: np.ndarray) -> np.ndarray:
    """The frame itself. Raises PoseError if it is not uint8 (height, width, 3) of a sensible size."""
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        found = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise PoseError(f"a frame is {found}: it must be uint8 (height, width, 3), BGR")
    if min(frame.shape[:2]) < 1 or max(frame.shape[:2]) > 16384:
        raise PoseError(f"a frame is {frame.shape[1]}x{frame.shape[0]}: width and height must be 1 to 16384 pixels")
    return frame


@dataclass
class _Chunk:
    """Frames, and the searches of some of them by their number in the chunk."""

    frames: list[np.ndarray]
    searches: dict[int, _Search] = field(default_factory=dict)


class PosePipeline:
    """Threads that read frames, search them for people and estimate their keypoints. A context manager."""

    def __init__(self, detector: Network, keypoint_network: Network) -> None:
        on_cpu = detector.device == "cpu"
        self._detector, self._keypoint_network = detector, keypoint_network
        self._frames_per_pass = 1 if on_cpu else detector.batch or FRAMES_ON_GPU
        self._crops_per_pass = CROPS_ON_CPU if keypoint_network.device == "cpu" else CROPS_ON_GPU
        self._reader = ThreadPoolExecutor(1, "pose-reader")
        self._pool = ThreadPoolExecutor(cpu_workers() if on_cpu else GPU_WORKERS, "pose")

    def __enter__(self) -> PosePipeline:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in (self._reader, self._pool):
            pool.shutdown(cancel_futures=True)

    def people(self, frames: Iterator[np.ndarray], detect_every: int) -> Iterator[list[Pose]]:
        """The people of each frame, in order. Searches every `detect_every`-th frame, see `PoseDetector.iter_poses`."""
        size = -(-CHUNK // detect_every) * detect_every
        current = self._read(frames, size).result()
        self._search(current, range(0, len(current.frames), detect_every))
        coming = self._read(frames, size)
        while current.frames:
            following = coming.result()
            self._search(following, range(0, len(following.frames), detect_every))
            coming = self._read(frames, size)
            yield from self._poses(current, self._boxes(current, following))
            current = following

    def _read(self, frames: Iterator[np.ndarray], size: int) -> Future[_Chunk]:
        return self._reader.submit(lambda: _Chunk([checked_frame(frame) for frame in islice(frames, size)]))

    def _search(self, chunk: _Chunk, numbers: Iterable[int]) -> None:
        numbers = list(numbers)
        for start in range(0, len(numbers), self._frames_per_pass):
            batch = numbers[start : start + self._frames_per_pass]
            found = self._pool.submit(search, self._detector, [chunk.frames[number] for number in batch])
            for position, number in enumerate(batch):
                chunk.searches[number] = _Search(found, position)

    def _boxes(self, chunk: _Chunk, following: _Chunk) -> list[np.ndarray]:
        """The boxes of every frame: moved in straight lines between searched frames that show the same people.

        If two searched frames show different people, the middle frame between them is searched, and so on.
        """
        count = len(chunk.frames)
        if not following.frames and count - 1 not in chunk.searches:
            self._search(chunk, [count - 1])
        known = {number: search.result().boxes for number, search in sorted(chunk.searches.items())}
        if following.frames:
            known[count] = following.searches[0].result().boxes
        while unmatched := _middles_of_unmatched_gaps(known):
            self._search(chunk, unmatched)
            known.update({number: chunk.searches[number].result().boxes for number in unmatched})
        boxes = dict(known)
        for before, after in _gaps(known):
            matched = matched_boxes(known[before], known[after])
            assert matched is not None
            between = boxes_between(known[before], matched, after - before - 1)
            boxes.update(zip(range(before + 1, after), between, strict=True))
        return [boxes[number] for number in range(count)]

    def _poses(self, chunk: _Chunk, boxes: list[np.ndarray]) -> Iterator[list[Pose]]:
        owners = [number for number, found in enumerate(boxes) for _ in found]
        people = [(chunk.frames[number], box) for number, found in enumerate(boxes) for box in found]
        passes = [
            self._pool.submit(estimate, self._keypoint_network, people[start : start + self._crops_per_pass])
            for start in range(0, len(people), self._crops_per_pass)
        ]
        poses: list[list[Pose]] = [[] for _ in boxes]
        estimates = ((points, scores) for found in passes for points, scores in zip(*found.result(), strict=True))
        for number, (points, scores) in zip(owners, estimates, strict=True):
            height, width = chunk.frames[number].shape[:2]
            poses[number].append(Pose.from_wholebody(points, scores, width, height))
        yield from poses


@dataclass(frozen=True)
class _Search:
    """The result of one frame in a batch that is being searched."""

    batch: Future[list[Detections]]
    position: int

    def result(self) -> Detections:
        return self.batch.result()[self.position]


def _gaps(known: dict[int, np.ndarray]) -> list[tuple[int, int]]:
    numbers = sorted(known)
    return [(before, after) for before, after in pairwise(numbers) if after - before > 1]


def _middles_of_unmatched_gaps(known: dict[int, np.ndarray]) -> list[int]:
    """Middle frames of the gaps whose ends do not show the same people."""
    return [
        (before + after) // 2 for before, after in _gaps(known) if matched_boxes(known[before], known[after]) is None
    ]


def cores() -> int:
    """Processor cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def cpu_workers() -> int:
    """Passes that run at once on the CPU. Several passes on a few threads each are faster than one on all threads."""
    return min(4, cores())
