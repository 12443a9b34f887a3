"""What is left of a long video that was interrupted, killed or changed, and what is refused before it begins."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.host.graphs import interrupted_at, node_of
from tests.host.long_videos import LONG, SEGMENTS, run_long, stored
from tests.host.made_up import image, read_video, write_files, write_video
from tests.host.server import PACK_NAME, PromptRefused, Server

pytestmark = pytest.mark.host


def test_changed_poses_keep_the_segments_before_them(host, long_graph):
    run_long(host, long_graph(host, seed=8))
    before = stored(host)
    poses = image("long_poses", LONG)
    write_video(host.base / "input" / "fewer_poses.mp4", poses[: LONG - 2])  # the last segment is shorter
    graph = long_graph(host, seed=8, poses="fewer_poses.mp4")
    latents, _ = run_long(host, graph)
    kept, new = before.items() & stored(host).items(), stored(host).keys() - before.keys()
    assert len(latents) == LONG - 2
    assert len(new) == 1
    assert len(kept) == len(before) - 1


def test_one_bar_runs_over_all_segments_and_an_interruption_loses_no_finished_one(host, long_graph):
    graph = long_graph(host, seed=9, steps=10)
    steps, previews = interrupted_at(25, 40, host, graph, node_of(graph, "LongVideoChain"))
    assert steps == list(range(1, len(steps) + 1))
    assert previews >= 25
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
