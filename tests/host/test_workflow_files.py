"""The UI files agree with the API files and with ComfyUI's description of its nodes."""

from __future__ import annotations

import json

import pytest

from tests.host.server import PACK, PACK_NAME

pytestmark = pytest.mark.host

NAMES = sorted(path.stem for path in (PACK / "workflows").glob("*.json"))
PAGE_ONLY = {"MarkdownNote"}


def ui_file(name: str) -> dict:
    return json.loads((PACK / "workflows" / f"{name}.json").read_text())


def api_file(name: str) -> dict:
    return json.loads((PACK / "workflows" / "api" / f"{name}.json").read_text())


def described_inputs(description: dict) -> dict[str, list]:
    return description["input"].get("required", {}) | description["input"].get("optional", {})


def is_widget(specification: list) -> bool:
    kind = specification[0]
    return isinstance(kind, list) or kind in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COMFY_DYNAMICCOMBO_V3")


def widgets_of(node: dict, description: dict) -> dict:
    """The values of a node's widgets by name, assigned in order as on the page, without the page's extras."""
    values, named = list(node["widgets_values"]), {}
    for name, specification in described_inputs(description).items():
        options = specification[1] if len(specification) > 1 else {}
        if not is_widget(specification) or options.get("forceInput") or not values:
            continue
        named[name] = values.pop(0)
        extras = ("control_after_generate", "image_upload", "video_upload")
        if any(options.get(extra) for extra in extras) or (name == "seed" and node["type"] == "KSampler"):
            values.pop(0)
    assert not values, f"{node['type']} has {len(values)} widget values too many"
    return named


@pytest.mark.parametrize("name", NAMES)
def test_links_join_outputs_and_inputs_of_one_type(host, name):
    graph = ui_file(name)
    known = host.get("/object_info")
    nodes = {node["id"]: node for node in graph["nodes"]}
    for link, source, output, target, slot, kind in graph["links"]:
        assert link in nodes[source]["outputs"][output]["links"]
        given = nodes[target]["inputs"][slot]
        assert given["link"] == link
        description = known[nodes[target]["type"]]
        assert known[nodes[source]["type"]]["output"][output] == kind
        assert kind in described_inputs(description)[given["name"]][0].split(",")
    for node in graph["nodes"]:
        assert node["type"] in known or node["type"] in PAGE_ONLY


@pytest.mark.parametrize("name", NAMES)
def test_the_page_and_the_api_run_the_same_graph(host, name):
    graph, api = ui_file(name), api_file(name)
    known = host.get("/object_info")
    sources = {link[0]: [str(link[1]), link[2]] for link in graph["links"]}
    drawn = [node for node in graph["nodes"] if node["type"] not in PAGE_ONLY]
    assert {str(node["id"]) for node in drawn} == set(api)
    for node in drawn:
        same = api[str(node["id"])]
        assert same["class_type"] == node["type"]
        expected = widgets_of(node, known[node["type"]])
        expected |= {given["name"]: sources[given["link"]] for given in node["inputs"] if given["link"] is not None}
        inputs = {key: value for key, value in same["inputs"].items() if "." not in key}
        assert inputs == expected


@pytest.mark.parametrize("name", NAMES)
def test_models_of_a_workflow_have_their_published_address(name):
    models = [model for node in ui_file(name)["nodes"] for model in node["properties"].get("models", [])]
    if name == "unianimate_mini":
        assert not models, "its files come with the pack"
        return
    assert {model["directory"] for model in models} - {"dwpose"} == {"unianimate", "clip_vision", "vae"}
    assert all(model["url"].startswith("https://huggingface.co/") for model in models)
    assert all(model["url"].endswith(model["name"]) for model in models)


def test_every_node_has_help_and_every_translation_a_node(host):
    ours = {name for name, node in host.get("/object_info").items() if node["python_module"].endswith(PACK_NAME)}
    assert ours == {path.stem for path in (PACK / "web" / "docs").glob("*.md")}
    for path in (PACK / "locales").glob("*/nodeDefs.json"):
        assert set(json.loads(path.read_text(encoding="utf-8"))) <= ours


def test_every_input_has_a_tooltip(host):
    """Sockets and widgets both."""
    for name, node in host.get("/object_info").items():
        if node["python_module"].endswith(PACK_NAME):
            silent = [key for key, value in described_inputs(node).items() if not value[1].get("tooltip")]
            assert not silent, f"{name} has no tooltip for {silent}"
