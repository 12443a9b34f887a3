from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def fresh_accelerator():
    """accelerate keeps the precision of the first run of a process for all others."""
    yield
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
