"""Graphs of long videos, and what they leave on disk."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from tests.host.graphs import node_of
from tests.host.made_up import image, write_video
from tests.host.server import Run, Server

SEGMENTS = "output/unianimate_segments"
LONG = 13  # frames: segments of 4 are 0-3, 3-6, 6-9 and 9-12
LONG_INPUTS = {
    "segment_length": 4,
    "method": "chain",
    "overlap": 2,
    "window_schedule": "even",
    "fps": 10.0,
    "noise_prior": 939,
    "shared_frames": 1,
    "match_colors": 0.0,
    "hold_latents": False,
}


def long_graph(graph: dict, host: Server, poses: str = "long_poses.mp4", **changes) -> dict:
    """The workflow of drawn poses, with a chain in place of its sampler, LONG poses, segments of 4."""
    write_video(host.base / "input" / "long_poses.mp4", image("long_poses", LONG))
    sampler = node_of(graph, "UniAnimateSample")
    graph[sampler] = {"class_type": "LongVideoChain", "inputs": graph[sampler]["inputs"] | LONG_INPUTS | changes}
    graph[node_of(graph, "SaveVideo")]["inputs"]["video"] = [sampler, 0]
    graph[node_of(graph, "LoadVideo")]["inputs"]["file"] = poses
    for unused in ("CreateVideo", "VAEDecode"):
        del graph[node_of(graph, unused)]
    return graph


def run_long(host: Server, graph: dict) -> tuple[Tensor, Run]:
    """(latents, run) of a long video."""
    inputs = {"samples": [node_of(graph, "LongVideoChain"), 1], "filename_prefix": "latents/long"}
    run = host.run(graph | {"save": {"class_type": "SaveLatent", "inputs": inputs}})
    assert run.error is None
    return load_file(host.output(run, "save"))["latent_tensor"], run


def stored(host: Server) -> dict[Path, int]:
    """The files of finished segments, with the time of each."""
    return {path: path.stat().st_mtime_ns for path in (host.base / SEGMENTS).glob("*/*.safetensors")}
