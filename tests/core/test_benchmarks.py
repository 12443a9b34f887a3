"""What the benchmarks count is right; what they time cannot be tested."""

from __future__ import annotations

import pytest

from benchmarks.denoise import count_flops
from benchmarks.report import RELEASED
from tests.parity.made_up import released_shapes
from unianimate_core.checkpoint.loading import network_entries


@pytest.mark.parametrize(("frames", "width", "height", "tera"), [(16, 512, 768, 34.8), (32, 768, 1216, 190.0)])
def test_the_work_of_one_pass_is_that_of_the_authors_network(frames, width, height, tera):
    """TFLOP/s and shares of the ceiling rest on this count. Ours is 0.2 % below: a first frame is embedded once."""
    assert sum(count_flops(RELEASED, frames, width, height)) / 1e12 == pytest.approx(tera, rel=0.01)


def test_the_benchmarks_measure_the_released_network():
    shapes = {name: entry.stored_shape for entry in network_entries(RELEASED) for name in entry.stored_names}
    assert shapes == {name: tuple(shape) for name, shape in released_shapes().items()}
