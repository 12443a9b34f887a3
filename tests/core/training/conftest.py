from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def fresh_accelerator():
    """accelerate keeps the precision of the first run of a process for all others."""
    yield
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Path:
    """A run of six steps without a stop, to be compared with or copied."""
    from tests.support.training import RUN, run

    folder = tmp_path_factory.mktemp("whole") / "run"
    run(folder, run=replace(RUN, steps=6))
    return folder
