from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from types import SimpleNamespace

import pytest

from tests.host.graphs import fit_workflow
from tests.host.long_videos import long_graph as made_long
from tests.host.made_up import write_files
from tests.host.server import PACK, Server


@pytest.fixture(scope="session")
def host(comfyui_path, tmp_path_factory):
    """A running ComfyUI with the pack and made-up files."""
    base = tmp_path_factory.mktemp("comfyui")
    write_files(comfyui_path, base)
    server = Server(comfyui_path, base)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def pack(comfyui_path):
    """The pack's modules, imported as ComfyUI imports them."""
    argv, sys.argv = sys.argv, ["comfyui"]
    sys.path.insert(0, str(comfyui_path))
    try:
        cli = importlib.import_module("comfy.cli_args")
        cli.args.cpu = True
        spec = importlib.util.spec_from_file_location(
            "unianimate_pack", PACK / "__init__.py", submodule_search_locations=[str(PACK)]
        )
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["unianimate_pack"] = module
        spec.loader.exec_module(module)
        names = ("host_model", "host_checks", "conditioning", "sampling")
        yield SimpleNamespace(**{name: importlib.import_module(f"unianimate_pack.nodes.{name}") for name in names})
    finally:
        sys.argv = argv


@pytest.fixture
def workflow():
    """A function: the shipped workflow of this name, in API format, fitted to the made-up files."""

    def load(name: str) -> dict:
        return fit_workflow(json.loads((PACK / "workflows" / "api" / f"{name}.json").read_text()))

    return load


@pytest.fixture
def long_graph(workflow):
    """A function of a host, a poses file and changed inputs; see long_videos.long_graph."""
    return lambda *given, **changes: made_long(workflow("unianimate_clip"), *given, **changes)
