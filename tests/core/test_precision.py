"""One table of precisions; "auto" depends on the device and on what the processor can do."""

from __future__ import annotations

import logging

import pytest
import torch

from unianimate_core import precision
from unianimate_core.precision import DTYPES, auto_precision, cpu_has_bf16, dtype_of

CHECKS = ("_is_avx512_bf16_supported", "_is_amx_tile_supported", "_is_arm_bf16_supported")


def pretend_processor(monkeypatch, *instructions: str) -> None:
    """A processor with these of CHECKS alone."""
    for check in CHECKS:
        monkeypatch.setattr(torch.cpu, check, lambda found=check in instructions: found, raising=False)


@pytest.mark.parametrize("instruction", CHECKS)
def test_any_kind_of_bf16_instructions_counts(monkeypatch, instruction):
    pretend_processor(monkeypatch, instruction)
    assert cpu_has_bf16()


def test_a_processor_without_them_has_no_bf16(monkeypatch):
    """Also with a PyTorch that lacks some of the checks."""
    pretend_processor(monkeypatch)
    assert not cpu_has_bf16()
    monkeypatch.delattr(torch.cpu, CHECKS[2])
    assert not cpu_has_bf16()


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_asks_the_processor_and_says_what_it_chose(monkeypatch, caplog, native, expected):
    """bf16 without bf16 units is six times slower than fp32."""
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: native)
    with caplog.at_level(logging.INFO):
        assert auto_precision("cpu") == expected
    assert caplog.messages == [f"{expected} on this CPU, which has {'' if native else 'no '}bf16 units"]
    assert dtype_of("auto", "cpu") == DTYPES[expected]


def test_auto_is_half_precision_on_a_gpu():
    assert auto_precision("cuda") == auto_precision(torch.device("mps")) == "fp16"
    assert dtype_of("auto", "cuda") == torch.float16


@pytest.mark.parametrize(("name", "dtype"), DTYPES.items())
def test_a_named_precision_is_taken_on_every_device(name, dtype):
    assert dtype_of(name, "cpu") == dtype_of(name, "cuda") == dtype


def test_an_unknown_precision_is_refused_with_the_choices():
    with pytest.raises(ValueError, match="precision is 'half': choose one of auto, fp16, bf16, fp32"):
        dtype_of("half", "cpu")
