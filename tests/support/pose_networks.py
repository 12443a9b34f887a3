"""Small networks with the inputs and outputs of yolox_l.onnx and dw-ll_ucoco_384.onnx, for tests without weights.

Their answers depend on the image, but mean nothing. Weights are generated from names, as tests/data/dwpose.json
expects.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.support import DATA

RECORDED = json.loads((DATA / "dwpose.json").read_text())

PEOPLE = [(320, 300, 180, 420, 0.9), (120, 330, 100, 300, 0.7)]
DOG, FAINT_PERSON = (500, 500, 90, 60, 0.95), (560, 80, 60, 70, 0.22)


def numbers(name: str, shape: Sequence[int]) -> np.ndarray:
    """Standard normal float32 that depends on the name alone."""
    generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    return generator.standard_normal(tuple(shape), dtype=np.float32)


def recorded_image() -> np.ndarray:
    """The image of dwpose.json, uint8 BGR."""
    image = RECORDED["image"]
    height, width = image["height"], image["width"]
    noise = numbers(image["tag"], (height // 20, width // 20, 3))
    return (128 + 60 * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)).clip(0, 255).astype(np.uint8)


def write_detector(path: Path, people=PEOPLE, batch: int | str = 1, dog: bool = True) -> Path:
    """A detector that finds the given people; their boxes shift a little with the image.

    people: center x, center y, width, height in pixels of 640x640, and score. dog: adds a dog and a faint person.
    """
    cells = [np.stack(np.divmod(np.arange(side**2), side)[::-1], 1) for side in (80, 40, 20)]
    strides = np.repeat([8, 16, 32], [6400, 1600, 400])
    cells = np.concatenate(cells)
    raw = np.zeros((8400, 85), np.float32)
    raw[:, 4], raw[:, 5:] = 0.02, 0.1

    def put(row: int, box: Sequence[float], kind: int = 0) -> None:
        raw[row, :2] = np.array(box[:2]) / strides[row] - cells[row]
        raw[row, 2:4] = np.log(np.array(box[2:4]) / strides[row])
        raw[row, 4], raw[row, 5 + kind] = 1, box[4]

    for number, (x, y, w, h, score) in enumerate(people):
        put(6600 + 97 * number, (x, y, w, h, score))
        put(6900 + 89 * number, (x + 6, y - 5, w * 1.05, h * 0.97, score - 0.1))  # a duplicate, to be suppressed
    moving = (raw[:, 4] == 1).astype(np.float32)
    if dog:
        put(8100, DOG, kind=16)
        put(8200, FAINT_PERSON)
    look = np.zeros((300, 85), np.float32)
    look[:, :4] = numbers("detector.look", (300, 4)) / 255 / 300**0.5 * np.array([0.6, 0.6, 0.15, 0.15], np.float32)
    nodes = [
        helper.make_node("AveragePool", ["images"], ["pool"], kernel_shape=[64, 64], strides=[64, 64]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("MatMul", ["flat", "look"], ["move"]),
        helper.make_node("Unsqueeze", ["move", "axis"], ["moves"]),
        helper.make_node("Mul", ["moving", "moves"], ["moved"]),
        helper.make_node("Add", ["raw", "moved"], ["output"]),
    ]
    constants = {"raw": raw[None], "look": look, "moving": moving[None, :, None], "axis": np.array([1])}
    return save(path, nodes, {"images": [batch, 3, 640, 640]}, {"output": [batch, 8400, 85]}, constants)


def write_keypoint_network(path: Path, salt: str = "", batch: int | str = "n") -> Path:
    """A keypoint network whose peaks depend on the crop: any error in cropping or normalizing moves the keypoints."""
    rank = 8
    constants = {
        "features": numbers(salt + "pose.features", (3 * 12 * 9, rank)) / 18,
        "x": numbers(salt + "pose.x", (rank, 133 * 576)),
        "y": numbers(salt + "pose.y", (rank, 133 * 768)),
        "gain": np.array([0.075], np.float32),
        "x_shape": np.array([-1, 133, 576]),
        "y_shape": np.array([-1, 133, 768]),
    }
    nodes = [
        helper.make_node("AveragePool", ["input"], ["pool"], kernel_shape=[32, 32], strides=[32, 32]),
        helper.make_node("Flatten", ["pool"], ["flat"]),
        helper.make_node("MatMul", ["flat", "features"], ["low"]),
    ]
    for axis in "xy":
        nodes += [
            helper.make_node("MatMul", ["low", axis], [f"flat_{axis}"]),
            helper.make_node("Reshape", [f"flat_{axis}", f"{axis}_shape"], [f"peaks_{axis}"]),
            helper.make_node("Mul", [f"peaks_{axis}", "gain"], [f"simcc_{axis}"]),
        ]
    outputs = {"simcc_x": [batch, 133, 576], "simcc_y": [batch, 133, 768]}
    return save(path, nodes, {"input": [batch, 3, 384, 288]}, outputs, constants)


def save(path: Path, nodes: list, inputs: dict, outputs: dict, constants: dict[str, np.ndarray]) -> Path:
    """Writes a graph and returns its path. inputs, outputs: name -> shape of float32."""
    described = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in values.items()]
        for values in (inputs, outputs)
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "stand_in", *described, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    onnx.save(model, str(path))
    return path
