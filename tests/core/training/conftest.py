from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def whole(tmp_path_factory) -> Path:
    """A run of six steps that was not stopped, to compare with or to copy."""
    from tests.support.training import RUN, train_in

    folder = tmp_path_factory.mktemp("whole") / "run"
    train_in(folder, run=replace(RUN, steps=6))
    return folder
