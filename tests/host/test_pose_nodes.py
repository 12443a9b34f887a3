"""The pose nodes in a real ComfyUI, on networks that stand in for DWPose's: what they find means nothing."""

from __future__ import annotations

import copy
import json
import shutil

import numpy as np
import pytest

from tests.host.graphs import node_of
from tests.host.made_up import FRAMES, HEIGHT, POSES, WIDTH, image, write_image
from tests.host.server import PromptRefused

pytestmark = pytest.mark.host


def part(graph: dict, *kinds: str) -> dict:
    """The nodes of these kinds alone."""
    return {key: copy.deepcopy(node) for key, node in graph.items() if node["class_type"] in kinds}


def saving_keypoints(graph: dict, source: list, prefix: str) -> dict:
    node = {"class_type": "SavePoseKeypoints", "inputs": {"keypoints": source, "filename_prefix": f"poses/{prefix}"}}
    return graph | {"save": node}


def keypoints_of(host, graph: dict, source: list, prefix: str) -> list[dict]:
    run = host.run(saving_keypoints(graph, source, prefix))
    assert run.error is None
    return json.loads(host.output(run, "save").read_text())


def extracting(workflow) -> tuple[dict, str]:
    graph = part(workflow("unianimate_from_video"), "LoadVideo", "DWPoseExtract")
    return graph, node_of(graph, "DWPoseExtract")


def aligning(workflow) -> tuple[dict, str]:
    graph = part(workflow("unianimate_from_video"), "LoadVideo", "LoadImage", "DWPoseExtract", "PoseAlign")
    return graph, node_of(graph, "PoseAlign")


def test_extraction_gives_one_person_a_frame_on_the_videos_canvas(host, workflow):
    graph, extract = extracting(workflow)
    frames = keypoints_of(host, graph, [extract, 0], "extracted")
    assert len(frames) == FRAMES
    for frame in frames:
        assert (frame["canvas_width"], frame["canvas_height"]) == (WIDTH, HEIGHT)
        (person,) = frame["people"]
        assert len(person["pose_keypoints_2d"]) == 18 * 3
        assert len(person["foot_keypoints_2d"]) == 6 * 3
        assert len(person["hand_left_keypoints_2d"]) == 21 * 3


@pytest.mark.parametrize("sliced", [False, True])
def test_a_video_and_its_images_give_the_same_key_points(host, workflow, sliced):
    """A video, or a slice of one, is read frame by frame from its file; images of it come from ComfyUI.

    The two decode colors with different rounding, so a stand-in's nearly equal maxima may swap: 95 % must agree.
    """
    graph, extract = extracting(workflow)
    video = [node_of(graph, "LoadVideo"), 0]
    if sliced:
        window = {"start_time": 0.25, "duration": 0.2, "strict_duration": False}
        graph["slice"] = {"class_type": "Video Slice", "inputs": {"video": video} | window}
        video = ["slice", 0]
    graph[extract]["inputs"]["source"] = video
    by_video = keypoints_of(host, graph, [extract, 0], "video")
    graph["frames"] = {"class_type": "GetVideoComponents", "inputs": {"video": video}}
    graph[extract]["inputs"]["source"] = ["frames", 0]
    by_images = keypoints_of(host, graph, [extract, 0], "images")
    assert len(by_video) == len(by_images) == (3 if sliced else FRAMES)
    a, b = (np.array([frame["people"][0]["pose_keypoints_2d"] for frame in frames]) for frames in (by_video, by_images))
    assert np.mean(np.abs(a - b) < 1) > 0.95


def test_alignment_is_on_the_references_canvas_and_takes_the_asked_frames(host, workflow):
    write_image(host.base / "input" / "square.png", image("square", 1, width=256, height=256)[0])
    graph, align = aligning(workflow)
    graph[node_of(graph, "LoadImage")]["inputs"]["image"] = "square.png"
    graph[align]["inputs"] |= {"start": 1, "interval": 2, "count": 2}
    frames = keypoints_of(host, graph, [align, 2], "aligned")
    assert [(frame["canvas_width"], frame["canvas_height"]) for frame in frames] == [(256, 256)] * 2


def test_saved_key_points_come_back_and_align_as_before(host, workflow):
    """A user extracts once, edits or keeps the file, and goes on from there."""
    graph, align = aligning(workflow)
    direct = keypoints_of(host, graph, [align, 2], "direct")
    extract = node_of(graph, "DWPoseExtract")
    run = host.run(saving_keypoints(part(graph, "LoadVideo", "DWPoseExtract"), [extract, 0], "kept"))
    shutil.copy(host.output(run, "save"), host.base / "input" / "kept.json")
    graph["load"] = {"class_type": "LoadPoseKeypoints", "inputs": {"file": "kept.json"}}
    graph[align]["inputs"] |= {"driving": ["load", 0], "source_fps": 12.0}
    again = keypoints_of(host, graph, [align, 2], "again")
    for a, b in zip(direct, again, strict=True):
        points = [np.array(frame["people"][0]["pose_keypoints_2d"]) for frame in (a, b)]
        np.testing.assert_allclose(points[0], points[1], atol=1e-3)


def test_key_points_of_a_image_serve_as_reference(host, workflow):
    graph, align = aligning(workflow)
    graph["reference"] = copy.deepcopy(graph[node_of(graph, "DWPoseExtract")])
    graph["reference"]["inputs"]["source"] = [node_of(graph, "LoadImage"), 0]
    by_image = keypoints_of(host, graph, [align, 2], "by_image")
    graph[align]["inputs"]["reference"] = ["reference", 0]
    by_points = keypoints_of(host, graph, [align, 2], "by_points")
    for a, b in zip(by_image, by_points, strict=True):
        points = [np.array(frame["people"][0]["pose_keypoints_2d"]) for frame in (a, b)]
        np.testing.assert_allclose(points[0], points[1], atol=0.1)


def test_the_node_says_where_it_runs_and_keeps_the_networks_until_memory_is_freed(host, workflow):
    graph, extract = extracting(workflow)
    assert keypoints_of(host, graph, [extract, 0], "once")
    assert "DWPose runs on cpu" in host.log()
    opened = host.log().count("yolox_l.onnx runs on")
    graph[extract]["inputs"]["smoothing"] = 0.3
    assert keypoints_of(host, graph, [extract, 0], "twice")
    assert host.log().count("yolox_l.onnx runs on") == opened
    host.forget()
    graph[extract]["inputs"]["smoothing"] = 0.35
    assert keypoints_of(host, graph, [extract, 0], "thrice")
    assert host.log().count("yolox_l.onnx runs on") == opened + 1


def error_of(host, graph: dict, source: list) -> str:
    error = host.run(saving_keypoints(graph, source, "refused")).error
    assert error is not None
    assert len(error.splitlines()) == 1
    return error


def test_a_device_that_is_not_there_is_refused_with_the_reason(host, workflow):
    graph, extract = extracting(workflow)
    graph[extract]["inputs"]["device"] = "cuda"
    assert "cuda" in error_of(host, graph, [extract, 0])


def test_exchanged_networks_are_told_apart(host, workflow):
    dwpose = host.base / "models" / "dwpose"
    shutil.copy(dwpose / "dw-ll_ucoco_384.onnx", dwpose / "swapped.onnx")
    graph, extract = extracting(workflow)
    graph[extract]["inputs"]["detector"] = "swapped.onnx"
    assert "exchange the two files" in error_of(host, graph, [extract, 0])


def test_an_absent_network_is_named_with_its_size_and_source(host, workflow):
    graph, extract = extracting(workflow)
    networks = host.base / "models" / "dwpose" / "yolox_l.onnx"
    hidden = networks.with_suffix(".hidden")
    networks.rename(hidden)
    try:
        with pytest.raises(PromptRefused) as refused:
            host.queue(saving_keypoints(graph, [extract, 0], "refused"))
    finally:
        hidden.rename(networks)
    for said in ("yolox_l.onnx", "217 MB", "huggingface.co/yzd-v/DWPose"):
        assert said in str(refused.value)


@pytest.mark.parametrize("text", ["[]", "{}", "no json", '[{"canvas_width": 1e9}]', "[1, 2]"])
def test_json_that_is_no_key_points_is_refused(host, workflow, text):
    name = f"bad{abs(hash(text))}.json"
    (host.base / "input" / name).write_text(text)
    graph = {"load": {"class_type": "LoadPoseKeypoints", "inputs": {"file": name}}}
    assert name in error_of(host, graph, ["load", 0])


def test_a_video_is_still_there_after_use(host, workflow):
    """On Windows an open file cannot be moved."""
    graph, extract = extracting(workflow)
    assert keypoints_of(host, graph, [extract, 0], "moved")
    source = host.base / "input" / POSES
    source.rename(source.with_suffix(".moved"))
    source.with_suffix(".moved").rename(source)


def test_a_part_beyond_the_end_is_refused(host, workflow):
    graph, extract = extracting(workflow)
    graph[extract]["inputs"]["start"] = FRAMES
    assert f"source has no frames from frame {FRAMES} on" in error_of(host, graph, [extract, 0])


def test_start_and_count_choose_the_frames_that_are_searched(host, workflow):
    graph, extract = extracting(workflow)
    every = keypoints_of(host, graph, [extract, 0], "every")
    graph[extract]["inputs"] |= {"start": 2, "count": 3, "detect_every": 1}
    some = keypoints_of(host, graph, [extract, 0], "some")
    assert len(every) == FRAMES
    assert len(some) == 3


def put_keypoints(host, name: str, frames: list) -> dict:
    (host.base / "input" / name).write_text(json.dumps(frames))
    return {"class_type": "LoadPoseKeypoints", "inputs": {"file": name}}


def test_driving_key_points_of_nobody_are_refused(host, workflow):
    graph, align = aligning(workflow)
    empty = {"canvas_width": 64, "canvas_height": 64, "people": []}
    graph["load"] = put_keypoints(host, "nobody.json", [empty] * 3)
    graph[align]["inputs"] |= {"driving": ["load", 0], "source_fps": 30.0}
    assert "driving shows nobody in its 3 frames" in error_of(host, graph, [align, 2])


def test_mode_none_keeps_proportions_on_a_canvas_of_another_shape(host, workflow):
    """A circle of joints on a wide canvas stays a circle on the upright one."""
    angles = np.linspace(0, 2 * np.pi, 18, endpoint=False)
    body = np.stack([320 + 100 * np.cos(angles), 180 + 100 * np.sin(angles), np.ones(18)], 1)
    wide = {"canvas_width": 640, "canvas_height": 360, "people": [{"pose_keypoints_2d": body.ravel().tolist()}]}
    graph, align = aligning(workflow)
    graph["load"] = put_keypoints(host, "wide.json", [wide])
    graph[align]["inputs"] |= {"driving": ["load", 0], "mode": "none", "source_fps": 30.0}
    (frame,) = keypoints_of(host, graph, [align, 2], "none")
    points = np.array(frame["people"][0]["pose_keypoints_2d"]).reshape(18, 3)[:, :2]
    radii = np.linalg.norm(points - [WIDTH / 2, HEIGHT / 2], axis=1)
    assert (frame["canvas_width"], frame["canvas_height"]) == (WIDTH, HEIGHT)
    np.testing.assert_allclose(radii, 100 * WIDTH / 640, rtol=1e-4)
