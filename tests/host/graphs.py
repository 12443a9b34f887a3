"""The shipped workflows as graphs for the tests, each with one change, and their results."""

from __future__ import annotations

import copy

from safetensors.torch import load_file
from torch import Tensor

from tests.host.made_up import CHECKPOINT, HEIGHT, POSES, REFERENCE_POSE, VAE, WIDTH
from tests.host.server import Run, Server

PATCHES = {
    "RescaleCFG": {"multiplier": 0.7},
    "EasyCache": {"reuse_threshold": 3.0, "start_percent": 0.0, "end_percent": 1.0, "verbose": True},
    "ContextWindowsManual": {
        "context_length": 4,
        "context_overlap": 2,
        "context_schedule": "standard_static",
        "context_stride": 1,
        "closed_loop": False,
        "fuse_method": "pyramid",
        "dim": 0,
        "freenoise": False,
        "cond_retain_index_list": "",
        "split_conds_to_windows": False,
        "latent_retain_index_list": "",
        "causal_window_fix": False,
    },
}
"""Nodes of ComfyUI that change how a MODEL is sampled, with their inputs."""


def node_of(graph: dict, class_type: str) -> str:
    """The id of the first node of a type."""
    return next(key for key, node in graph.items() if node["class_type"] == class_type)


def fit_workflow(graph: dict) -> dict:
    """A shipped workflow with the made-up files, the tiny network's size and a few steps."""
    for node in graph.values():
        inputs = node["inputs"]
        if node["class_type"] == "LoadUniAnimate":
            inputs |= {"checkpoint": CHECKPOINT, "clip": "none"}
        elif node["class_type"] == "VAELoader":
            inputs["vae_name"] = VAE
        elif node["class_type"] == "LoadImage" and inputs["image"] == "pose.png":
            inputs["image"] = REFERENCE_POSE
        elif node["class_type"] == "LoadVideo":
            inputs["file"] = POSES
        if "width" in inputs:
            inputs |= {"width": WIDTH, "height": HEIGHT}
        if "steps" in inputs:
            inputs["steps"] = 4
        for encoder in ("clip", "clip_vision"):
            if isinstance(inputs.get(encoder), list):
                del inputs[encoder]
    return graph


def with_latent(graph: dict, sampler: str) -> tuple[dict, str]:
    """The graph with the sampler's latent saved too, and the id of the node that saves it."""
    graph = copy.deepcopy(graph)
    graph["save_latent"] = {
        "class_type": "SaveLatent",
        "inputs": {"samples": [node_of(graph, sampler), 0], "filename_prefix": "latents/test"},
    }
    return graph, "save_latent"


def latent_of(host: Server, graph: dict, sampler: str) -> tuple[Tensor, Run]:
    """(latents, run) of a graph."""
    graph, saver = with_latent(graph, sampler)
    run = host.run(graph)
    assert run.error is None
    return load_file(host.output(run, saver))["latent_tensor"], run


def interrupted_at(step: int, total: int, host: Server, graph: dict, node: str) -> tuple[list[int], int]:
    """Interrupts a graph at a step of a node, which must stop within one: (all reported steps, number of previews)."""
    steps, previews, asked_at = [], 0, None

    def on_event(kind: str, data: dict) -> None:
        nonlocal previews, asked_at
        previews += kind == "preview"
        if kind == "progress" and data.get("node") == node:
            steps.append(data["value"])
            assert data["max"] == total
            if data["value"] == step and asked_at is None:
                host.post("/interrupt", {})
                asked_at = len(steps)

    run = host.watch(graph, on_event)
    assert run.interrupted
    assert run.error is None
    assert asked_at is not None
    # The step that was running when the request arrived may end, and so may one that ran while it was sent.
    assert len(steps) - asked_at <= 2
    return steps, previews


def patched(graph: dict, sampler: str, class_type: str, **inputs) -> dict:
    """The graph with one more node between the model and the sampler."""
    target = graph[node_of(graph, sampler)]["inputs"]
    graph["patch"] = {"class_type": class_type, "inputs": {"model": target["model"]} | inputs}
    target["model"] = ["patch", 0]
    return graph
