"""What becomes of a segment for which the memory was too short."""

from __future__ import annotations

import importlib

import pytest
import torch

pytestmark = pytest.mark.host


class Failing:
    """A function that fails at its first calls, then says "done"."""

    def __init__(self, *errors: BaseException):
        self.errors = list(errors)

    def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.fixture
def with_retry(pack):
    retry = importlib.import_module("unianimate_pack.nodes.long_video.progress").with_retry
    return lambda work: retry(work, work, "sampling 32 frames", "lower segment_length")


def test_out_of_memory_is_tried_again_once_and_then_says_what_to_lower(with_retry):
    short = torch.OutOfMemoryError("CUDA out of memory")
    assert with_retry(Failing(short)) == "done"
    with pytest.raises(MemoryError, match=r"^out of memory while sampling 32 frames, twice: lower segment_length$"):
        with_retry(Failing(short, short))


def test_the_second_try_makes_smaller_pieces(pack):
    """Of every wide result, and only for its time."""
    backend = importlib.import_module("unianimate_pack.unianimate_core.model.backend").Backend()
    whole = backend.split_bytes
    with pytest.raises(RuntimeError), backend.smaller_pieces():
        assert backend.split_bytes == whole // 4
        raise RuntimeError
    assert backend.split_bytes == whole


def test_what_is_no_shortage_of_memory_is_not_tried_again(with_retry, pack):
    """Least of all an interruption, which older ComfyUI raises as an ordinary exception."""
    interruption = importlib.import_module("comfy.model_management").InterruptProcessingException()
    for error in (interruption, RuntimeError("sizes differ"), ValueError("wrong")):
        with pytest.raises(type(error)):
            with_retry(Failing(error))
