"""Long videos in a real ComfyUI, and what is left of them when it is killed."""

from __future__ import annotations

import importlib
import shutil
import time
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.host.made_up import FRAMES, HEIGHT, WIDTH, picture, read_video, write_files, write_video
from tests.host.server import PACK_NAME, PromptRefused, Run, Server
from tests.host.test_host_model import pack  # noqa: F401  (a fixture)
from tests.host.test_workflows import latent_of, node_of

pytestmark = pytest.mark.host

SEGMENTS = "output/unianimate_segments"
LONG = 13  # frames: segments of 4 are 0-3, 3-6, 6-9 and 9-12


@pytest.fixture
def long_graph(workflow):
    """A function: the workflow of drawn poses with a chain in place of its sampler, LONG poses, segments of 4."""

    def make(host: Server, poses: str = "long_poses.mp4", **changes) -> dict:
        write_video(host.base / "input" / "long_poses.mp4", picture("long_poses", LONG))
        graph = workflow("unianimate_clip")
        sampler = node_of(graph, "UniAnimateSample")
        length = {"segment_length": 4, "method": "chain", "overlap": 2, "fps": 10.0, "noise_prior": 939}
        graph[sampler] = {"class_type": "LongVideoChain", "inputs": graph[sampler]["inputs"] | length | changes}
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
    """That of UniAnimateSample with the same seed, so that nobody need choose a node by the number of poses."""
    long, _ = run_long(host, long_graph(host, method=method, segment_length=32, seed=5))
    clip, _ = latent_of(host, clip_graph(seed=5), "UniAnimateSample")
    assert long.equal(clip)


def test_a_chain_shows_each_pose_once(host, long_graph):
    latents, run = run_long(host, long_graph(host, seed=6))
    video = read_video(host.output(run, node_of(long_graph(host), "SaveVideo")))
    assert len(latents) == len(video) == LONG
    assert all(not before.equal(after) for before, after in pairwise(latents))


def test_windows_are_those_of_comfyui(host, long_graph, clip_graph):
    ours, _ = run_long(host, long_graph(host, method="windows", seed=7))
    graph = clip_graph(seed=7)
    sampler = node_of(graph, "UniAnimateSample")
    windows = {
        "model": graph[sampler]["inputs"]["model"],
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
    graph["windows"] = {"class_type": "ContextWindowsManual", "inputs": windows}
    graph[sampler]["inputs"]["model"] = ["windows", 0]
    theirs, _ = latent_of(host, graph, "UniAnimateSample")
    assert ours.equal(theirs)


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
    with pytest.raises(MemoryError, match=r"^out of memory while sampling 32 frames, twice: lower segment_length; .*$"):
        with_retry(Failing(short, short))


def test_what_is_no_shortage_of_memory_is_not_tried_again(with_retry, pack):  # noqa: F811
    """Least of all an interruption, which older ComfyUI raises as an ordinary exception."""
    interruption = importlib.import_module("comfy.model_management").InterruptProcessingException()
    for error in (interruption, RuntimeError("sizes differ"), ValueError("wrong")):
        with pytest.raises(type(error)):
            with_retry(Failing(error))
