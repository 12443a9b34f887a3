"""Long videos in a real ComfyUI."""

from __future__ import annotations

import functools
import importlib
import json
import shutil
from itertools import pairwise

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.host.graphs import latent_of, node_of
from tests.host.long_videos import LONG, SEGMENTS, run_long, stored
from tests.host.made_up import FRAMES, HEIGHT, WIDTH, read_video, tiny_checkpoint
from unianimate_core.long_video.windows import window_ranges, window_weights

pytestmark = pytest.mark.host

CONTEXT_WINDOWS = {
    "context_length": 4,
    "context_overlap": 2,
    "context_schedule": "standard_static",
    "context_stride": 1,
    "closed_loop": False,
    "fuse_method": "flat",
    "dim": 0,
    "freenoise": False,
    "cond_retain_index_list": "",
    "latent_retain_index_list": "",
    "split_conds_to_windows": False,
    "causal_window_fix": False,
}


@pytest.fixture
def clip_graph(workflow):
    """A function: the workflow of one clip, of LONG poses."""

    def make(**changes) -> dict:
        graph = workflow("unianimate_clip")
        graph[node_of(graph, "LoadVideo")]["inputs"]["file"] = "long_poses.mp4"
        graph[node_of(graph, "UniAnimateSample")]["inputs"] |= {"noise_prior": 939} | changes
        return graph

    return make


@pytest.mark.parametrize("name", ["unianimate_long", "unianimate_long_windows"])
def test_a_long_workflow_makes_a_video_of_all_its_poses(host, workflow, name):
    graph = workflow(name)
    graph[node_of(graph, "LongVideoChain")]["inputs"] |= {"segment_length": 4, "overlap": 2}
    latents, run = run_long(host, graph)
    assert latents.shape == (FRAMES, 4, HEIGHT // 8, WIDTH // 8)
    assert latents.isfinite().all()
    video = read_video(host.output(run, node_of(graph, "SaveVideo")))
    assert video.shape == (FRAMES, HEIGHT, WIDTH, 3)
    assert video.std() > 1


@pytest.mark.parametrize("method", ["chain", "windows"])
def test_fewer_poses_than_a_segment_are_one_clip(host, long_graph, clip_graph, method):
    """That of UniAnimateSample with the same seed, so that nobody need choose a node by the number of poses.

    Up to the offset noise, which the authors add before the noise prior in a clip and after it in a long video.
    """
    long, _ = run_long(host, long_graph(host, method=method, segment_length=32, seed=5, offset_noise=0.0))
    clip, _ = latent_of(host, clip_graph(seed=5, offset_noise=0.0), "UniAnimateSample")
    assert long.equal(clip)


def test_a_chain_shows_each_pose_once(host, long_graph):
    latents, run = run_long(host, long_graph(host, seed=6))
    video = read_video(host.output(run, node_of(long_graph(host), "SaveVideo")))
    assert len(latents) == len(video) == LONG
    assert all(not before.equal(after) for before, after in pairwise(latents))


def with_context_windows(graph: dict, sampler: str, **changes) -> None:
    """Puts ComfyUI's Context Windows (Manual) before a sampling node."""
    inputs = graph[sampler]["inputs"]
    graph["windows"] = {
        "class_type": "ContextWindowsManual",
        "inputs": CONTEXT_WINDOWS | {"model": inputs["model"]} | changes,
    }
    inputs["model"] = ["windows", 0]


def test_upstream_windows_are_those_of_comfyui(host, long_graph, clip_graph):
    ours, _ = run_long(host, long_graph(host, method="windows", window_schedule="upstream", seed=7, offset_noise=0.0))
    graph = clip_graph(seed=7, offset_noise=0.0)
    with_context_windows(graph, node_of(graph, "UniAnimateSample"))
    theirs, _ = latent_of(host, graph, "UniAnimateSample")
    assert ours.equal(theirs)


def test_even_windows_are_the_cores(pack):
    """ComfyUI asks for windows and weights in its own terms; both must be what the core computes."""
    long_windows = importlib.import_module("unianimate_pack.nodes.long_video.windows")
    host_windows = importlib.import_module("comfy.context_windows")
    asked = []

    class Model:
        model_options: dict = {}  # noqa: RUF012

        def clone(self):
            return self

        def add_wrapper_with_key(self, *_):
            asked.append(True)

    model = long_windows.with_windows(Model(), 33, 32, 8, "even")
    handler = model.model_options["context_handler"]
    ranges = window_ranges(33, 32, 8, "even")
    windows = handler.get_context_windows(None, torch.zeros(33, 4, 2, 2), {})
    assert [window.index_list for window in windows] == [list(frames) for frames in ranges]
    for window, share in zip(windows, window_weights(ranges, "tapered"), strict=True):
        given = host_windows.get_context_weights(len(window.index_list), 33, window.index_list, handler)
        assert given == share.tolist()


def test_windows_lie_within_the_segments_of_a_chain(host, long_graph):
    """The union of both ways, by ComfyUI's own node: segments of 7 in windows of 4."""
    graph = long_graph(host, segment_length=7, seed=11)
    plain, _ = run_long(host, graph)
    with_context_windows(graph, node_of(graph, "LongVideoChain"))
    windowed, _ = run_long(host, graph)
    assert len(plain) == len(windowed) == LONG
    assert windowed.isfinite().all()
    assert not windowed.equal(plain)


def test_key_points_give_the_video_that_their_images_give(host, workflow):
    """They are drawn segment by segment, so that a minute of poses need not lie in memory as images.

    Key points pass through pixels, so that a point that is rounded may fall to its neighbor.
    """
    graph = workflow("unianimate_long")
    chain, align = node_of(graph, "LongVideoChain"), node_of(graph, "PoseAlign")
    graph[chain]["inputs"] |= {"segment_length": 4}
    assert graph[chain]["inputs"]["poses"] == [align, 2]
    by_points, _ = run_long(host, graph)
    graph[chain]["inputs"]["poses"] = [align, 0]
    graph[align]["inputs"]["draw"] = True
    by_images, _ = run_long(host, graph)
    assert float((by_points - by_images).norm() / by_images.norm()) < 0.01


@pytest.mark.parametrize(
    "seams",
    [{"shared_frames": 2}, {"match_colors": 1.0}, {"hold_latents": True}, {"shared_frames": 2, "hold_latents": True}],
)
def test_each_way_of_joining_segments_changes_what_follows_the_first(host, long_graph, seams):
    """The first segment has nothing to be joined to; every frame is there once."""
    plain, _ = run_long(host, long_graph(host, seed=13))
    joined, _ = run_long(host, long_graph(host, seed=13, **seams))
    assert len(joined) == LONG
    assert joined.isfinite().all()
    first = 4 - seams.get("shared_frames", 1)
    assert joined[: first + 1].equal(plain[: first + 1])
    assert not joined[4:].equal(plain[4:])


@pytest.mark.parametrize("sampler", ["euler", "dpmpp_2m"])
def test_held_latents_come_out_of_the_sampler_as_they_were(host, long_graph, sampler):
    """The second shared frame is half the earlier segment's, half the later's: here both are the same."""
    shutil.rmtree(host.base / SEGMENTS, ignore_errors=True)
    graph = long_graph(host, seed=14, shared_frames=2, hold_latents=True, sampler_name=sampler)
    latents, _ = run_long(host, graph)
    handed_over = [load_file(path)["handover_latents"] for path in sorted(stored(host)) if path.name[:5] < "00002"]
    for start, (first, second) in zip((2, 4), (shared[0].unbind(1) for shared in handed_over), strict=True):
        assert latents[start].equal(first)
        torch.testing.assert_close(latents[start + 1], second, rtol=1e-4, atol=1e-4)


def test_what_is_put_on_the_model_is_part_of_its_hash(pack, tmp_path):
    """Else a run with another LoRA would take up the segments of the one before."""
    checkpoint = tmp_path / "tiny.safetensors"
    save_file(tiny_checkpoint(), checkpoint, metadata={"unianimate": json.dumps({"head_dim": 16})})
    model_hash = importlib.import_module("unianimate_pack.nodes.long_video.clips").model_hash
    sd, patcher_extension = importlib.import_module("comfy.sd"), importlib.import_module("comfy.patcher_extension")
    model = pack.host_model.load_model(str(checkpoint))
    name = "diffusion_model.stem.temporal.proj_in"
    lora = {f"{name}.lora_up.weight": torch.ones(64, 2), f"{name}.lora_down.weight": torch.ones(2, 32)}

    def injected(strength: float):
        clone = model.clone()
        inject = functools.partial(print, strength)
        clone.set_injections("bypass", [patcher_extension.PatcherInjection(inject=inject, eject=inject)])
        return clone

    def weighted(strength: float):
        return sd.load_lora_for_models(model, None, lora, strength, 0)[0]

    changed = [weighted(1.0), weighted(0.5), injected(1.0), injected(0.5)]
    hashes = [model_hash(other) for other in [model, *changed]]
    assert len(set(hashes)) == len(hashes)
    assert hashes == [model_hash(other) for other in [model.clone(), weighted(1.0), weighted(0.5), *changed[2:]]]


def test_key_points_are_drawn_as_their_node_was_told(host, workflow):
    """What is switched off in Pose Align is off in the video."""
    graph = workflow("unianimate_long")
    graph[node_of(graph, "LongVideoChain")]["inputs"] |= {"segment_length": 4}
    with_hands, _ = run_long(host, graph)
    graph[node_of(graph, "PoseAlign")]["inputs"]["draw_hands"] = False
    without, _ = run_long(host, graph)
    assert not without.equal(with_hands)
