"""Long videos in a real ComfyUI, and what is left of them when it is killed."""

from __future__ import annotations

import functools
import importlib
import json
import shutil
import time
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.host.made_up import (
    FRAMES,
    HEIGHT,
    WIDTH,
    picture,
    read_video,
    tiny_checkpoint,
    write_files,
    write_video,
)
from tests.host.server import PACK_NAME, PromptRefused, Run, Server
from tests.host.test_host_model import pack  # noqa: F401  (a fixture)
from tests.host.test_workflows import latent_of, node_of
from unianimate_core.windows import window_ranges, window_weights

pytestmark = pytest.mark.host

SEGMENTS = "output/unianimate_segments"
LONG = 13  # frames: segments of 4 are 0-3, 3-6, 6-9 and 9-12
LONG_INPUTS = {
    "segment_length": 4,
    "method": "chain",
    "overlap": 2,
    "windows": "even",
    "fps": 10.0,
    "noise_prior": 939,
    "shared_frames": 1,
    "match_colours": 0.0,
    "hold_latents": False,
}
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
def long_graph(workflow):
    """A function: the workflow of drawn poses with a chain in place of its sampler, LONG poses, segments of 4."""

    def make(host: Server, poses: str = "long_poses.mp4", **changes) -> dict:
        write_video(host.base / "input" / "long_poses.mp4", picture("long_poses", LONG))
        graph = workflow("unianimate_clip")
        sampler = node_of(graph, "UniAnimateSample")
        graph[sampler] = {"class_type": "LongVideoChain", "inputs": graph[sampler]["inputs"] | LONG_INPUTS | changes}
        graph[node_of(graph, "SaveVideo")]["inputs"]["video"] = [sampler, 0]
        graph[node_of(graph, "LoadVideo")]["inputs"]["file"] = poses
        for unused in ("CreateVideo", "VAEDecode"):
            del graph[node_of(graph, unused)]
        return graph

    return make


@pytest.fixture
def clip_graph(workflow):
    """A function: the workflow of one clip, of LONG poses."""

    def make(**changes) -> dict:
        graph = workflow("unianimate_clip")
        graph[node_of(graph, "LoadVideo")]["inputs"]["file"] = "long_poses.mp4"
        graph[node_of(graph, "UniAnimateSample")]["inputs"] |= {"noise_prior": 939} | changes
        return graph

    return make


def run_long(host: Server, graph: dict) -> tuple[Tensor, Run]:
    """(latents, run) of a long video."""
    inputs = {"samples": [node_of(graph, "LongVideoChain"), 1], "filename_prefix": "latents/long"}
    run = host.run(graph | {"save": {"class_type": "SaveLatent", "inputs": inputs}})
    assert run.error is None
    return load_file(host.output(run, "save"))["latent_tensor"], run


def stored(host: Server) -> dict[Path, int]:
    """The files of finished segments, with the time of each."""
    return {path: path.stat().st_mtime_ns for path in (host.base / SEGMENTS).glob("*/*.safetensors")}


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
    ours, _ = run_long(host, long_graph(host, method="windows", windows="upstream", seed=7, offset_noise=0.0))
    graph = clip_graph(seed=7, offset_noise=0.0)
    with_context_windows(graph, node_of(graph, "UniAnimateSample"))
    theirs, _ = latent_of(host, graph, "UniAnimateSample")
    assert ours.equal(theirs)


def test_even_windows_are_the_cores(pack):  # noqa: F811
    """ComfyUI asks for windows and weights in its own terms; both must be what the core computes."""
    long_windows = importlib.import_module("unianimate_pack.nodes.long_windows")
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


def test_key_points_give_the_video_that_their_pictures_give(host, workflow):
    """They are drawn segment by segment, so that a minute of poses need not lie in memory as pictures.

    Key points pass through pixels, so that a point that is rounded may fall to its neighbour.
    """
    graph = workflow("unianimate_long")
    chain, align = node_of(graph, "LongVideoChain"), node_of(graph, "PoseAlign")
    graph[chain]["inputs"] |= {"segment_length": 4}
    assert graph[chain]["inputs"]["poses"] == [align, 2]
    by_points, _ = run_long(host, graph)
    graph[chain]["inputs"]["poses"] = [align, 0]
    graph[align]["inputs"]["draw"] = True
    by_pictures, _ = run_long(host, graph)
    assert float((by_points - by_pictures).norm() / by_pictures.norm()) < 0.01


@pytest.mark.parametrize(
    "seams",
    [{"shared_frames": 2}, {"match_colours": 1.0}, {"hold_latents": True}, {"shared_frames": 2, "hold_latents": True}],
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
    graph = long_graph(host, seed=14, shared_frames=2, hold_latents=True, sampler=sampler)
    latents, _ = run_long(host, graph)
    handed_over = [load_file(path)["handover_latents"] for path in sorted(stored(host)) if path.name[:5] < "00002"]
    for start, (first, second) in zip((2, 4), (shared[0].unbind(1) for shared in handed_over), strict=True):
        assert latents[start].equal(first)
        torch.testing.assert_close(latents[start + 1], second, rtol=1e-4, atol=1e-4)


def test_what_is_put_on_the_model_is_part_of_its_hash(pack, tmp_path):  # noqa: F811
    """Else a run with another LoRA would take up the segments of the one before."""
    checkpoint = tmp_path / "tiny.safetensors"
    save_file(tiny_checkpoint(), checkpoint, metadata={"unianimate": json.dumps({"head_dim": 16})})
    model_hash = importlib.import_module("unianimate_pack.nodes.long_clips").model_hash
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
    graph[node_of(graph, "PoseAlign")]["inputs"]["hands"] = False
    without, _ = run_long(host, graph)
    assert not without.equal(with_hands)


def test_changed_poses_keep_the_segments_before_them(host, long_graph):
    run_long(host, long_graph(host, seed=8))
    before = stored(host)
    poses = picture("long_poses", LONG)
    write_video(host.base / "input" / "fewer_poses.mp4", poses[: LONG - 2])  # the last segment is shorter
    graph = long_graph(host, seed=8, poses="fewer_poses.mp4")
    latents, _ = run_long(host, graph)
    kept, new = before.items() & stored(host).items(), stored(host).keys() - before.keys()
    assert len(latents) == LONG - 2
    assert len(new) == 1
    assert len(kept) == len(before) - 1


def test_one_bar_runs_over_all_segments_and_an_interruption_loses_no_finished_one(host, long_graph):
    graph = long_graph(host, seed=9, steps=10)
    chain = node_of(graph, "LongVideoChain")
    steps, previews, asked_at = [], 0, None

    def on_event(kind: str, data: dict) -> None:
        nonlocal previews, asked_at
        previews += kind == "preview"
        if kind == "progress" and data.get("node") == chain:
            steps.append(data["value"])
            assert data["max"] == 40
            if data["value"] == 25 and asked_at is None:
                host.post("/interrupt", {})
                asked_at = len(steps)

    run = host.watch(graph, on_event)
    assert run.interrupted
    assert run.error is None
    assert steps == list(range(1, len(steps) + 1))
    assert previews >= 25
    assert asked_at is not None
    # The step that was under way when the request arrived may end, and so may one that ran while it travelled.
    assert len(steps) - asked_at <= 2
    logged = len(host.log())
    resumed, _ = run_long(host, graph)
    assert "2 of 4 segments were finished before" in host.log()[logged:]
    shutil.rmtree(host.base / SEGMENTS)
    host.forget()
    whole, _ = run_long(host, graph)
    assert resumed.equal(whole)


def test_a_killed_comfyui_goes_on_where_it_stopped(comfyui_path, tmp_path, long_graph):
    """Killed in the third segment of four: the two before are kept, and the result is that of a run to the end."""
    write_files(comfyui_path, tmp_path)
    server = start_again(comfyui_path, tmp_path)
    graph = long_graph(server, seed=10, steps=10)
    try:
        server.queue(graph)
        deadline = time.monotonic() + 120
        while len(stored(server)) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        server.process.kill()
        server.process.wait()
        before = stored(server)
        assert 2 <= len(before) < 4

        server = start_again(comfyui_path, tmp_path)
        resumed, run = run_long(server, graph)
        video = read_video(server.output(run, node_of(graph, "SaveVideo")))
        assert before.items() <= stored(server).items()
        assert len(stored(server)) == 4

        shutil.rmtree(tmp_path / SEGMENTS)
        server.forget()
        whole, run = run_long(server, graph)
        assert resumed.equal(whole)
        assert (video == read_video(server.output(run, node_of(graph, "SaveVideo")))).all()
    finally:
        server.stop()


def start_again(comfyui: Path, base: Path) -> Server:
    shutil.rmtree(base / "custom_nodes" / PACK_NAME, ignore_errors=True)
    return Server(comfyui, base)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"method": "windows", "overlap": 4}, "the overlap is 4 frames, the window 4: give an overlap of 0 to 3"),
        ({"width": 500}, "width is 500, not a multiple of 64"),
        ({"shared_frames": 4}, "the segment length is 4 for 13 frames: give at least 5, as segments share 4"),
    ],
)
def test_a_setting_that_cannot_be_is_told(host, long_graph, change, sentence):
    run = host.run(long_graph(host, **change))
    assert run.error is not None
    assert sentence in run.error
    assert len(run.error.splitlines()) == 1


def test_a_segment_of_one_frame_is_refused_before_it_runs(host, long_graph):
    with pytest.raises(PromptRefused, match="segment_length"):
        host.queue(long_graph(host, segment_length=1))


class Failing:
    """A function that fails at its first calls, then says "done"."""

    def __init__(self, *errors: BaseException):
        self.errors = list(errors)

    def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.fixture
def with_retry(pack):  # noqa: F811
    retry = importlib.import_module("unianimate_pack.nodes.long_run").with_retry
    return lambda work: retry(work, work, "sampling 32 frames", "lower segment_length")


def test_out_of_memory_is_tried_again_once_and_then_says_what_to_lower(with_retry):
    short = torch.OutOfMemoryError("CUDA out of memory")
    assert with_retry(Failing(short)) == "done"
    with pytest.raises(MemoryError, match=r"^out of memory while sampling 32 frames, twice: lower segment_length$"):
        with_retry(Failing(short, short))


def test_the_second_try_makes_smaller_pieces(pack):  # noqa: F811
    """Of every wide result, and only for its time."""
    backend = importlib.import_module("unianimate_pack.unianimate_core.model.backend").Backend()
    whole = backend.split_bytes
    with pytest.raises(RuntimeError), backend.smaller_pieces():
        assert backend.split_bytes == whole // 4
        raise RuntimeError
    assert backend.split_bytes == whole


def test_what_is_no_shortage_of_memory_is_not_tried_again(with_retry, pack):  # noqa: F811
    """Least of all an interruption, which older ComfyUI raises as an ordinary exception."""
    interruption = importlib.import_module("comfy.model_management").InterruptProcessingException()
    for error in (interruption, RuntimeError("sizes differ"), ValueError("wrong")):
        with pytest.raises(type(error)):
            with_retry(Failing(error))
