"""Speed and memory of turning a video into drawn poses, compared with the authors' way in the same run.

    python -m benchmarks.pose                                             # stand-in networks of the real cost
    python -m benchmarks.pose --detector yolox_l.onnx --keypoints dw-ll_ucoco_384.onnx --device cuda

The authors' way reads all frames first. Then each frame goes through the detector, each person through the keypoint
network and each pose is drawn, one at a time, on all threads. Here it uses this package's own resizing, decoding and
drawing, so the comparison is about the order of work alone, not about the speed of their Python.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

from tests.support.pose_networks import write_detector, write_keypoint_network
from unianimate_core.pose import Pose, PoseDetector, choose_people, draw_pose, iter_drawn
from unianimate_core.pose.detection.onnx_session import DETECTOR, KEYPOINT_NETWORK, Network
from unianimate_core.pose.detection.pipeline import cores, estimate, search
from unianimate_core.pose.drawing.resize import resize_bilinear

from .pose_stand_ins import STAND_IN_NOTE, costly_stand_ins

RESULTS = Path(__file__).parent / "results"
HEIGHT, WIDTH = 768, 512  # of the drawn poses


def main() -> None:
    arguments = _arguments()
    if arguments.memory_of:
        print(_peak_memory(arguments))
        return
    with tempfile.TemporaryDirectory() as folder:
        report = _report(arguments, Path(folder))
    path = RESULTS / f"pose_{arguments.device}.md"
    path.write_text(report)
    print(report)


def _report(arguments: argparse.Namespace, folder: Path) -> str:
    video = write_video(folder / "dance.mp4", arguments.frames)
    files = (arguments.detector, arguments.keypoints)
    real = None not in files
    if not real:
        files = costly_stand_ins(folder)
    ways = _ways(video, files, arguments.device)
    for way in ways.values():
        way(4)  # warm-up
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            start = time.perf_counter()
            way(arguments.frames)
            times[name].append(time.perf_counter() - start)
    authors = next(iter(times.values()))
    rows = []
    for name, seconds in times.items():
        rates = [arguments.frames / second for second in seconds]
        ratios = [theirs / ours for theirs, ours in zip(authors, seconds, strict=True)]
        rows.append(f"| {name} | {_spread(rates)} | {_spread(ratios)} |")
    memory = [f"| {count} | {_memory_of(count)} |" for count in arguments.memory_frames]
    weights = "the released files" if real else "stand-ins with the released networks' shapes and cost, random weights"
    return "\n".join(
        [
            "# From video to drawn poses",
            "",
            f"- Hardware: {_hardware(arguments.device)}; load of the machine before: {_load()}",
            f"- Versions: Python {platform.python_version()}, onnxruntime {onnxruntime.__version__}, "
            f"OpenCV {cv2.__version__}, {platform.system()}",
            f"- Command: `python -m benchmarks.pose {' '.join(sys.argv[1:])}`".rstrip(" `") + "`",
            f"- Networks: {weights}",
            f"- Video: {arguments.frames} frames of 1280x720 with one person, decoded by OpenCV; drawn at "
            f"{WIDTH}x{HEIGHT}; medians (and extremes) of {arguments.rounds} rounds, each of which runs all ways",
            *([] if real else [f"- {STAND_IN_NOTE}"]),
            "",
            "| way | frames per second | ratio to the authors' way in the same round |",
            "|---|---|---|",
            *rows,
            "",
            "Between searched frames, boxes move in straight lines; the row in which every frame is searched gives the "
            "authors' keypoints.",
            "",
            "Peak memory, each in a separate process, with stand-ins without the added convolutions (which do not "
            "change the number of frames in memory):",
            "",
            "| frames | peak memory |",
            "|---|---|",
            *memory,
            "",
        ]
    )


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _ways(video: Path, files: tuple[Path, Path], device: str) -> dict[str, Callable[[int], int]]:
    """Name -> function that processes a number of frames of the video. The authors' way is first."""
    all_threads = Network(files[0], DETECTOR, device), Network(files[1], KEYPOINT_NETWORK, device)
    detector = PoseDetector(*files, device=device)
    return {
        "the authors': one by one": lambda count: authors_way(*all_threads, read_video(video, count)),
        "ours, every frame searched": lambda count: our_way(detector, read_video(video, count), 1),
        "ours, every 2nd frame searched (the node's default)": lambda count: our_way(
            detector, read_video(video, count), 2
        ),
        "ours, every 4th frame searched": lambda count: our_way(detector, read_video(video, count), 4),
    }


def authors_way(detector: Network, keypoint_network: Network, frames: Iterator[np.ndarray]) -> int:
    """Draws all frames one by one, and returns their number."""
    people = []
    for frame in list(frames):
        found = [estimate(keypoint_network, [(frame, box)]) for box in search(detector, [frame])[0].boxes]
        points, scores = found[0]
        people.append(Pose.from_wholebody(points[0], scores[0], frame.shape[1], frame.shape[0]))
    return len([resize_bilinear(draw_pose(pose, 768, 512), HEIGHT, WIDTH) for pose in people])


def our_way(detector: PoseDetector, frames: Iterator[np.ndarray], detect_every: int) -> int:
    """Draws all frames, and returns their number."""
    poses = choose_people(list(detector.iter_poses(frames, detect_every=detect_every)))
    return sum(1 for _ in iter_drawn(poses, HEIGHT, WIDTH))


def write_video(path: Path, frames: int) -> Path:
    """Coarse drifting noise, 1280x720: it gives the codec work, and every frame differs."""
    noise = np.random.default_rng(0).integers(0, 256, (24, 44, 3), np.uint8)
    scene = cv2.resize(noise, (1280 + 64, 720), interpolation=cv2.INTER_CUBIC)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, (1280, 720))
    for frame in range(frames):
        left = int(32 + 31 * np.sin(frame / 20))
        writer.write(np.ascontiguousarray(scene[:, left : left + 1280]))
    writer.release()
    return path


def read_video(path: Path, count: int) -> Iterator[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    try:
        for _ in range(count):
            there, frame = capture.read()
            if not there:
                return
            yield frame
    finally:
        capture.release()


def _memory_of(frames: int) -> str:
    command = [sys.executable, "-m", "benchmarks.pose", "--memory-of", str(frames)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _peak_memory(arguments: argparse.Namespace) -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = write_video(folder / "dance.mp4", 100)
        detector = PoseDetector(
            write_detector(folder / "detector.onnx"), write_keypoint_network(folder / "keypoints.onnx"), "cpu"
        )
        again = itertools.chain.from_iterable(read_video(video, 100) for _ in itertools.count())
        poses = choose_people(list(detector.iter_poses(itertools.islice(again, arguments.memory_of))))
        drawn = sum(1 for _ in iter_drawn(poses, HEIGHT, WIDTH))
        assert drawn == arguments.memory_of
    status = Path("/proc/self/status")
    if not status.exists():
        return "not measured on this system"
    peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return f"{int(peak.split()[1]) / 1024:.0f} MB"


def _load() -> str:
    """Processes that wait for the processor. Others make the ratio unreliable."""
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _hardware(device: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {cores()} cores; networks on {device}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detector", type=Path, help="yolox_l.onnx (default: a stand-in of its cost)")
    parser.add_argument("--keypoints", type=Path, help="dw-ll_ucoco_384.onnx (default: a stand-in of its cost)")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda", "directml", "coreml"])
    parser.add_argument("--frames", type=int, default=16, help="frames of the video")
    parser.add_argument("--rounds", type=int, default=5, help="number of measurements of each way")
    parser.add_argument("--memory-frames", type=int, nargs="*", default=[100, 500, 2000])
    parser.add_argument("--memory-of", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
