"""Stand-ins of the two DWPose networks: known answers at the cost of the released networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.support.pose_networks import write_detector, write_keypoint_network

STAGE_CHANNELS = (64, 128, 256, 512, 1024)
"""Channels of the added convolutions. Each stage has half the resolution of the one before."""
DETECTOR_CONVOLUTIONS = (3, 4, 6, 5, 2)
"""3x3 convolutions per stage: 155 GFLOP for 640x640, as in YOLOX-L."""
KEYPOINT_CONVOLUTIONS = (0, 3, 4, 2, 1)
"""3x3 convolutions per stage: 20 GFLOP for 384x288, as in RTMPose-L with 133 points."""

STAND_IN_NOTE = (
    "A stand-in is a small network with known answers, plus plain convolutions up to the cost of the released network "
    "(155 and 20 GFLOP); other layers of the released networks change the frames per second, and may change the ratio"
)


def costly_stand_ins(folder: Path) -> tuple[Path, Path]:
    """Networks with known answers and the cost of the released ones."""
    people = [(320, 180, 150, 300, 0.9)]
    detector = write_detector(folder / "plain_detector.onnx", people)
    keypoints = write_keypoint_network(folder / "plain_keypoints.onnx")
    return (
        with_added_convolutions(detector, folder / "detector.onnx", "output", DETECTOR_CONVOLUTIONS),
        with_added_convolutions(keypoints, folder / "keypoints.onnx", "simcc_x", KEYPOINT_CONVOLUTIONS),
    )


def with_added_convolutions(source: Path, path: Path, output: str, convolutions: tuple[int, ...]) -> Path:
    """The network with added convolutions, whose mean times zero is added to an output, so that it stays the same."""
    model = onnx.load(str(source))
    graph = model.graph
    rng = np.random.default_rng(0)
    value, channels = graph.input[0].name, 3
    for stage, (width, count) in enumerate(zip(STAGE_CHANNELS, convolutions, strict=True)):
        for number in range(count + 1):
            kernel = 2 if number == 0 else 3  # the first one of a stage only halves the resolution
            name = f"tower.{stage}.{number}"
            weight = rng.standard_normal((width, channels, kernel, kernel), np.float32) * (2 / channels) ** 0.5 / kernel
            graph.initializer.append(numpy_helper.from_array(weight, name))
            strides, pads = ([2, 2], [0] * 4) if number == 0 else ([1, 1], [1] * 4)
            graph.node.extend(
                [
                    helper.make_node("Conv", [value, name], [f"{name}.sum"], strides=strides, pads=pads),
                    helper.make_node("Sigmoid", [f"{name}.sum"], [f"{name}.gate"]),
                    helper.make_node("Mul", [f"{name}.sum", f"{name}.gate"], [f"{name}.out"]),
                ]
            )
            value, channels = f"{name}.out", width
    next(node for node in graph.node if output in node.output).output[0] = "answer"
    graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), "nothing"))
    graph.node.extend(
        [
            helper.make_node("ReduceMean", [value], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "nothing"], ["zero"]),
            helper.make_node("Add", ["answer", "zero"], [output]),
        ]
    )
    onnx.save(model, str(path))
    return path
