"""The user's first run: a workflow whose models and images all come with the pack."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.host.graphs import node_of
from tests.host.made_up import read_video
from tests.host.server import PACK
from unianimate_core import UniAnimatePipeline, mini
from unianimate_core.drawn_world.characters import draw_clip
from unianimate_core.pose import draw_poses

pytestmark = pytest.mark.host

CODED = 30  # dB: of an image that was enlarged twofold, encoded in H.264, and halved again


@pytest.fixture
def graph() -> dict:
    """The shipped file, unchanged."""
    return json.loads((PACK / "workflows" / "api" / "unianimate_mini.json").read_text())


def panels(video: np.ndarray) -> list[np.ndarray]:
    """Reference, poses, result and ground truth of the workflow's video: f h w 3 each, at the size of the clip."""
    frames, height, width, _ = video.shape
    halved = video.reshape(frames, height // 2, 2, width // 2, 2, 3).mean((2, 4))
    return np.split(halved, 4, axis=2)


def decibels(result: np.ndarray, truth: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((result.astype(float) - truth) ** 2)))


@pytest.mark.parametrize("network", [mini.TRANSFORMER, mini.MAMBA], ids=["transformer", "mamba"])
def test_the_first_run_needs_no_file_of_the_users_and_shows_what_the_demo_shows(host, graph, network):
    """ComfyUI's samplers and VAE give the frames that the core's give, for the same person and motion."""
    graph[node_of(graph, "LoadUniAnimate")]["inputs"]["checkpoint"] = network.name
    run = host.run(graph)
    assert run.error is None
    reference, poses, result, truth = panels(read_video(host.output(run, node_of(graph, "SaveVideo"))))

    clip = draw_clip(mini.CHARACTER, mini.FRAMES, mini.HEIGHT, mini.WIDTH, split="test", world=mini.WORLD)
    drawn = draw_poses([clip.reference_pose, *clip.poses], mini.HEIGHT, mini.WIDTH)
    assert decibels(reference, clip.reference) > CODED
    assert decibels(poses, drawn[1:]) > CODED
    assert decibels(truth, clip.frames) > CODED

    pipe = UniAnimatePipeline.from_files(network, mini.VAE, device="cpu", precision="fp32")
    own = pipe(clip.reference, drawn[0], drawn[1:], mini.SETTINGS, progress=False)
    assert decibels(result, own) > CODED
    assert decibels(result, truth) > decibels(reference, truth) + 3


def test_a_drawn_person_can_be_chained_from_keypoints(host, graph):
    """The long video node takes them like those of Pose Align, and makes a video of the motion's length."""
    loader, vae, drawn = (node_of(graph, kind) for kind in ("LoadUniAnimate", "VAELoader", "UniAnimateDrawnPerson"))
    long_graph = json.loads((PACK / "workflows" / "api" / "unianimate_long.json").read_text())
    chain, saver = (node_of(long_graph, kind) for kind in ("LongVideoChain", "SaveVideo"))
    settings = {name: value for name, value in long_graph[chain]["inputs"].items() if not isinstance(value, list)}
    graph[drawn]["inputs"]["frames"] = 12
    run = host.run(
        {key: graph[key] for key in (loader, vae, drawn)}
        | {
            chain: {
                "class_type": "LongVideoChain",
                "inputs": settings
                | {"width": mini.WIDTH, "height": mini.HEIGHT, "segment_length": 8, "steps": 10, "cfg": 1.0}
                | {"model": [loader, 0], "vae": [vae, 0], "reference_image": [drawn, 0], "reference_pose": [drawn, 1]}
                | {"poses": [drawn, 5], "fps": [drawn, 4]},
            },
            saver: long_graph[saver],
        }
    )
    assert run.error is None
    assert read_video(host.output(run, saver)).shape == (12, mini.HEIGHT, mini.WIDTH, 3)


def test_the_packs_own_checkpoint_is_converted_into_the_users_folder(host):
    """An update of the pack would delete a file in its own folder."""
    before = set(mini.NETWORKS.iterdir())
    inputs = {"checkpoint": mini.TRANSFORMER.name, "precision": "bf16"}
    assert host.run({"1": {"class_type": "UniAnimateConvert", "inputs": inputs}}).error is None
    assert (host.base / "models" / "unianimate" / f"{mini.TRANSFORMER.stem}_bf16.safetensors").is_file()
    assert set(mini.NETWORKS.iterdir()) == before


def test_a_drawn_clip_beyond_memory_is_refused(host, graph):
    """The largest inputs would take 206 GB; the sentence says how many frames are possible."""
    drawn = node_of(graph, "UniAnimateDrawnPerson")
    graph[drawn]["inputs"] |= {"frames": 4096, "width": 2048, "height": 2048}
    error = host.run(graph).error
    assert error is not None
    assert "4096 frames of 2048x2048 take too much memory: give at most 48 of that size" in error
