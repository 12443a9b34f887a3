"""The log names the back end, users can force one, and nothing replaces a forced one in silence."""

from __future__ import annotations

import logging
import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor

from tests.support.scan import Case, by_definition, difference, differences
from unianimate_core.scan import backends, selective_scan

CPU, CUDA = "cpu", "cuda"


@pytest.fixture(autouse=True)
def empty_caches():
    """The process caches which back ends work on this machine. Each test starts without these answers."""
    for function in (backends.absence, backends._fastest):
        function.cache_clear()
    yield
    for function in (backends.absence, backends._fastest):
        function.cache_clear()


@pytest.fixture
def without(monkeypatch):
    """A function that makes modules of these names fail to import. The back ends that use them are unloaded first."""
    users = [f"unianimate_core.scan.{name}" for name in ("triton_kernels", "triton_scan", "mamba_ssm_scan")]
    loaded = {name: sys.modules.pop(name) for name in users if name in sys.modules}

    def block(*names: str) -> None:
        for name in names:
            monkeypatch.setitem(sys.modules, name, None)

    yield block
    for name in users:
        sys.modules.pop(name, None)
    sys.modules.update(loaded)


def test_a_cpu_uses_the_torch_loop_and_logs_it_once(caplog):
    with caplog.at_level(logging.INFO):
        assert [backends.resolve("auto", CPU) for _ in range(3)] == ["torch"] * 3
    assert caplog.messages == ["the temporal Mamba scans with torch on cpu"]


def test_a_gpu_uses_triton_if_it_works(caplog, monkeypatch):
    pytest.importorskip("triton")
    monkeypatch.setattr(backends, "_scan_once", lambda backend, device_type: None)  # this machine may have no GPU
    with caplog.at_level(logging.INFO):
        assert backends.resolve("auto", CUDA) == "triton"
    assert "the temporal Mamba scans with triton on cuda" in caplog.text


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_auto_skips_a_back_end_that_imports_but_cannot_scan(caplog):
    """An old GPU, or no compiler for Triton's launcher. The loop is slow, but an error would be worse."""
    pytest.importorskip("triton")
    assert backends.resolve("auto", CUDA) == "torch"
    assert "not triton, " in caplog.text


def test_a_gpu_without_kernels_logs_a_warning_about_the_slow_loop(caplog, without):
    """The loop takes about ten times longer, so the log says why and what to install."""
    without("triton", "selective_scan_cuda")
    assert backends.resolve("auto", CUDA) == "torch"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "slow on a GPU" in record.message
    assert "triton-windows" in record.message


@pytest.mark.parametrize(
    ("backend", "device", "sentence"),
    [
        (
            "mamba_ssm",
            CPU,
            r"cannot use mamba_ssm \(the tensors are on cpu.*pip install mamba-ssm --no-build-isolation",
        ),
        ("mamba_ssm", CUDA, r"ImportError|ModuleNotFoundError.*pip install mamba-ssm --no-build-isolation"),
        (
            "triton",
            CUDA,
            r"cannot use triton \(ModuleNotFoundError: .*pip install triton-windows.*choose auto or torch",
        ),
    ],
)
def test_the_error_about_a_forced_back_end_says_how_to_install_it(without, backend, device, sentence):
    without("triton", "selective_scan_cuda")
    with pytest.raises(ImportError, match=sentence):
        backends.resolve(backend, device)


@pytest.mark.usefixtures("without")
def test_a_build_for_another_pytorch_counts_as_absent(monkeypatch):
    """Such a build raises OSError when it loads, not ImportError."""

    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "selective_scan_cuda":
                raise OSError("undefined symbol: _ZN3c10")

    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    assert backends.absence("mamba_ssm", "cuda") == "OSError: undefined symbol: _ZN3c10"


def test_the_environment_forces_a_back_end(monkeypatch):
    """Users of ComfyUI write no code. A wrong name raises an error."""
    monkeypatch.setenv(backends.ENVIRONMENT, "torch")
    assert backends.resolve("auto", CUDA) == "torch"
    monkeypatch.setenv(backends.ENVIRONMENT, "cuda")
    with pytest.raises(ValueError, match="back end is 'cuda'"):
        selective_scan(**Case(n=1, f=2, E=3, s=2).inputs())


def test_without_its_interpreter_triton_rejects_tensors_on_a_cpu(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(ImportError, match="the tensors are on cpu"):
        backends.resolve("triton", CPU)


class StandIn(ModuleType):
    """mamba_ssm's selective_scan_fn, by its documentation: u, delta, z: n E f; B, C: n s f; A: E s, D: E, both fp32."""

    @staticmethod
    def selective_scan_fn(u, delta, A, B, C, D=None, z=None, delta_bias=None, delta_softplus=False) -> Tensor:
        assert delta_bias is None
        assert not delta_softplus
        assert {x.dtype for x in (u, delta, B, C)} == {u.dtype}
        assert A.dtype == torch.float32
        assert D is not None
        assert D.dtype == torch.float32
        given = {"u": u, "delta": delta, "B": B, "C": C} | ({} if z is None else {"z": z})
        given = {name: x.transpose(1, 2) for name, x in given.items()} | {"A": A, "D": D}
        return by_definition(given, reverse=False).transpose(1, 2).to(u.dtype)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("added", [False, True])
@pytest.mark.usefixtures("without")
def test_mamba_ssm_gets_the_layout_it_documents(monkeypatch, reverse, gated, added):
    """Our code around mamba-ssm's kernel handles layout, direction, gate and gradients.

    The kernel needs a GPU, so a stand-in computes what its documentation says. This test does not cover the kernel's
    speed or precision.
    """
    interface = StandIn("mamba_ssm.ops.selective_scan_interface")
    names = ("mamba_ssm", "mamba_ssm.ops", interface.__name__, "selective_scan_cuda")
    for name in names:
        monkeypatch.setitem(sys.modules, name, interface)
    monkeypatch.setattr(backends, "absence", lambda backend, device_type: None)
    case = Case(n=2, f=6, E=5, s=3, reverse=reverse, gated=gated, added=added)
    assert max(differences(case, "mamba_ssm").values()) < 1e-5
    half = {name: x.half() for name, x in case.inputs().items()}
    y = selective_scan(**half, reverse=reverse, backend="mamba_ssm")
    assert y.dtype == torch.float16
    assert difference(y, by_definition(half, reverse)) < 2e-3
