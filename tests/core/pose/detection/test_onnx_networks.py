"""The two network files: how they are recognized, on which device they run, and errors about both."""

import logging
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from onnx import helper

from tests.support.pose_networks import save, write_detector, write_keypoint_network
from unianimate_core.pose import PoseDetector, PoseError
from unianimate_core.pose.detection import onnx_session
from unianimate_core.pose.detection.onnx_session import KEYPOINT_NETWORK, Network


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    return write_detector(folder / "yolox_l.onnx"), write_keypoint_network(folder / "dw-ll_ucoco_384.onnx")


class Session:
    """The used part of onnxruntime's session. A provider that fails to load leaves the CPU's, as in onnxruntime."""

    def __init__(self, path, options, providers, provider_options):
        if providers == ["DmlExecutionProvider"]:
            raise RuntimeError("no adapter of\nDirect3D 12")
        self.providers = ["CPUExecutionProvider"]

    def get_providers(self):
        return self.providers

    def get_inputs(self):
        return [SimpleNamespace(name="input", shape=["n", 3, 384, 288])]

    def get_outputs(self):
        return [
            SimpleNamespace(name="simcc_x", shape=["n", 133, 576]),
            SimpleNamespace(name="simcc_y", shape=["n", 133, 768]),
        ]


@pytest.fixture
def broken_gpu(monkeypatch, tmp_path):
    """An onnxruntime that lists CUDA and DirectML, neither of which loads."""
    import onnxruntime

    available = ["CUDAExecutionProvider", "DmlExecutionProvider", "CPUExecutionProvider"]
    runtime = SimpleNamespace(
        InferenceSession=Session,
        SessionOptions=onnxruntime.SessionOptions,
        ExecutionMode=onnxruntime.ExecutionMode,
        get_available_providers=lambda: available,
        __file__=str(tmp_path / "__init__.py"),
    )
    monkeypatch.setattr(onnx_session, "_onnxruntime", lambda: runtime)


def test_auto_logs_the_chosen_device(files, caplog):
    """Otherwise users think that the networks are slow, when they run on the CPU."""
    with caplog.at_level(logging.INFO):
        detector = PoseDetector(*files)
    assert detector.device in ("cpu", "cuda", "directml", "coreml")
    assert f"yolox_l.onnx runs on {detector.devices[0]} (requested: auto" in caplog.text


def test_auto_logs_why_a_gpu_was_not_chosen(files, broken_gpu, caplog):
    network = Network(files[1], KEYPOINT_NETWORK)
    assert network.device == "cpu"
    assert "cuda does not load: " in caplog.text and "no adapter of Direct3D 12" in caplog.text


@pytest.mark.parametrize("device", ["cuda", "directml"])
def test_a_gpu_that_does_not_load_is_never_replaced_by_the_cpu(files, broken_gpu, device):
    with pytest.raises(PoseError, match=f"cannot run on '{device}': {device} does not load: .+ choose 'cpu'"):
        Network(files[1], KEYPOINT_NETWORK, device)


def test_a_device_without_a_provider_is_refused(files):
    lacking = "coreml" if sys.platform != "darwin" else "directml"
    with pytest.raises(PoseError, match=f"device is '{lacking}', but this onnxruntime offers only"):
        PoseDetector(*files, device=lacking)
    with pytest.raises(PoseError, match=r"device is 'gpu': choose one of auto, cuda"):
        PoseDetector(*files, device="gpu")


def test_the_error_for_a_missing_onnxruntime_says_what_to_install(files, monkeypatch):
    onnx_session._onnxruntime.cache_clear()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    expected = r"pose detection needs onnxruntime, which is not installed: run pip install onnxruntime, or .*\[pose\]"
    with pytest.raises(ImportError, match=expected):
        PoseDetector(*files)


def test_the_error_for_a_missing_file_names_its_source(files, tmp_path):
    with pytest.raises(PoseError, match=r"download yolox_l\.onnx \(216,746,733 bytes\) from Hugging Face yzd-v/DWPose"):
        PoseDetector(tmp_path / "yolox_l.onnx", files[1])


def test_exchanged_files_are_recognized(files):
    with pytest.raises(PoseError, match=r"is the keypoint network, but the person detector .* exchange the two"):
        PoseDetector(files[1], files[0])


def test_a_truncated_file_is_recognized(files, tmp_path):
    half = tmp_path / "yolox_l.onnx"
    half.write_bytes(files[0].read_bytes()[:100_000])
    with pytest.raises(PoseError, match=r"download is incomplete \(100,000 bytes, yolox_l\.onnx has 216,746,733\)"):
        PoseDetector(half, files[1])


def test_another_network_is_recognized(files, tmp_path):
    node = helper.make_node("Identity", ["image"], ["mask"])
    other = save(tmp_path / "other.onnx", [node], {"image": [1, 3, 8, 8]}, {"mask": [1, 3, 8, 8]}, {})
    with pytest.raises(PoseError, match=r"is not the person detector: it has image \[1, 3, 8, 8\], mask"):
        PoseDetector(other, files[1])


@pytest.mark.parametrize("batch", [1, 4, "n"])
def test_any_number_of_crops_runs_at_any_batch_size(tmp_path, files, batch):
    """Exported networks have a batch of one, of several, or of any size."""
    network = Network(write_keypoint_network(tmp_path / "network.onnx", batch=batch), KEYPOINT_NETWORK, "cpu")
    crops = np.random.default_rng(0).standard_normal((6, 3, 384, 288), dtype=np.float32)
    expected = Network(files[1], KEYPOINT_NETWORK, "cpu")(crops)
    for output, one_by_one in zip(network(crops), expected, strict=True):
        np.testing.assert_allclose(output, one_by_one, atol=1e-5)
