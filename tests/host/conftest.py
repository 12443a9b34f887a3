from __future__ import annotations

import json

import pytest

from tests.host.made_up import fit_workflow, write_files
from tests.host.server import PACK, Server


@pytest.fixture(scope="session")
def host(comfyui_path, tmp_path_factory):
    """A running ComfyUI with the pack and made-up files."""
    base = tmp_path_factory.mktemp("comfyui")
    write_files(comfyui_path, base)
    server = Server(comfyui_path, base)
    yield server
    server.stop()


@pytest.fixture
def workflow():
    """A function: the shipped workflow of this name, in API format, fitted to the made-up files."""

    def load(name: str) -> dict:
        return fit_workflow(json.loads((PACK / "workflows" / "api" / f"{name}.json").read_text()))

    return load
