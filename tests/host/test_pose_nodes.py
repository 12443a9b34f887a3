"""The pose nodes in a real ComfyUI, with networks that stand in for DWPose's; the poses they find are made up."""

from __future__ import annotations

import copy
import importlib
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.host.graphs import node_of
from tests.host.made_up import FRAMES, HEIGHT, POSES, REFERENCE, WIDTH, image, write_image
from tests.host.server import PromptRefused
from tests.support.stick_figure import skeleton, walking
from unianimate_core.pose import (
    Pose,
    PoseDetector,
    choose_people,
    draw_pose,
    fill_gaps,
    frames_of_people,
    people_by_frame,
    smooth_poses,
)

pytestmark = pytest.mark.host


def part(graph: dict, *kinds: str) -> dict:
    """The nodes of these kinds alone."""
    return {key: copy.deepcopy(node) for key, node in graph.items() if node["class_type"] in kinds}


def saving_keypoints(graph: dict, source: list, prefix: str) -> dict:
    inputs = {"keypoints": source, "filename_prefix": f"poses/{prefix}"}
    return graph | {"save": {"class_type": "UniAnimateSaveKeypoints", "inputs": inputs}}


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


def test_extraction_gives_everybody_in_each_frame_on_the_videos_canvas(host, workflow):
    graph, extract = extracting(workflow)
    frames = keypoints_of(host, graph, [extract, 0], "extracted")
    assert len(frames) == FRAMES
    for frame in frames:
        assert (frame["canvas_width"], frame["canvas_height"]) == (WIDTH, HEIGHT)
        assert len(frame["people"]) == 2
        for person in frame["people"]:
            assert len(person["pose_keypoints_2d"]) == 18 * 3
            assert len(person["foot_keypoints_2d"]) == 6 * 3
            assert len(person["hand_left_keypoints_2d"]) == 21 * 3


def test_two_people_in_an_image_are_extracted_best_first_and_both_drawn(host, workflow):
    """The drawing is that of each person alone, as trained, with the best one on top."""
    graph, extract = extracting(workflow)
    graph["image"] = {"class_type": "LoadImage", "inputs": {"image": REFERENCE}}
    graph[extract]["inputs"] |= {"source": ["image", 0], "draw": True}
    graph["drawing"] = {"class_type": "SaveImage", "inputs": {"images": [extract, 1], "filename_prefix": "everybody"}}
    run = host.run(saving_keypoints(graph, [extract, 0], "everybody"))
    assert run.error is None
    (people,) = people_by_frame(json.loads(host.output(run, "save").read_text()))

    dwpose = host.base / "models" / "dwpose"
    detector = PoseDetector(dwpose / "yolox_l.onnx", dwpose / "dw-ll_ucoco_384.onnx", "cpu")
    (found,) = detector([np.asarray(Image.open(host.base / "input" / REFERENCE))[..., ::-1].copy()])
    assert len(people) == len(found) == 2
    for pose, expected in zip(people, found, strict=True):
        np.testing.assert_allclose(pose.flat()[0], expected.flat()[0], atol=1e-6)

    best, other = (draw_pose(pose, 768, 512) for pose in people)
    expected = np.where(best.any(-1, keepdims=True), best, other)
    assert not np.array_equal(expected, best)
    drawing = np.asarray(Image.open(host.output(run, "drawing"))).astype(int)
    np.testing.assert_allclose(drawing, expected, atol=1)  # ComfyUI truncates when it saves


def test_the_report_of_an_extraction_counts_people_and_names_frames_without_anybody(pack):
    people_report = importlib.import_module("unianimate_pack.nodes.pose.extract").people_report
    person = Pose.empty()
    assert people_report([[person]] * 3) == "3 frames, 1 person in each"
    assert people_report([[person, person], [], [], [person], []]).splitlines() == [
        "5 frames, 0 to 2 people in each",
        "nobody in 3 frames: 1-2, 4",
        "several people in 1 frame: choose one with person in Pose Align",
    ]


@pytest.mark.parametrize("sliced", [False, True])
def test_a_video_and_its_images_give_the_same_keypoints(host, workflow, sliced):
    """A video, or a slice of one, is read frame by frame from its file; ComfyUI decodes the images.

    The two round colors differently, so nearly equal maxima of a stand-in network may swap: 95 % must agree.
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
    graph[align]["inputs"] |= {"skip_first_frames": 1, "select_every_nth": 2, "frame_load_cap": 2}
    frames = keypoints_of(host, graph, [align, 2], "aligned")
    assert [(frame["canvas_width"], frame["canvas_height"]) for frame in frames] == [(256, 256)] * 2


def test_saved_keypoints_load_and_align_as_before(host, workflow):
    """A user extracts once, keeps or edits the file, and continues from it."""
    graph, align = aligning(workflow)
    direct = keypoints_of(host, graph, [align, 2], "direct")
    extract = node_of(graph, "DWPoseExtract")
    run = host.run(saving_keypoints(part(graph, "LoadVideo", "DWPoseExtract"), [extract, 0], "kept"))
    shutil.copy(host.output(run, "save"), host.base / "input" / "kept.json")
    graph["load"] = {"class_type": "UniAnimateLoadKeypoints", "inputs": {"file": "kept.json"}}
    graph[align]["inputs"] |= {"driving": ["load", 0], "source_fps": 12.0}
    again = keypoints_of(host, graph, [align, 2], "again")
    for a, b in zip(direct, again, strict=True):
        points = [np.array(frame["people"][0]["pose_keypoints_2d"]) for frame in (a, b)]
        np.testing.assert_allclose(points[0], points[1], atol=1e-3)


def test_keypoints_of_an_image_serve_as_reference(host, workflow):
    graph, align = aligning(workflow)
    graph["reference"] = copy.deepcopy(graph[node_of(graph, "DWPoseExtract")])
    graph["reference"]["inputs"]["source"] = [node_of(graph, "LoadImage"), 0]
    by_image = keypoints_of(host, graph, [align, 2], "by_image")
    graph[align]["inputs"]["reference"] = ["reference", 0]
    by_points = keypoints_of(host, graph, [align, 2], "by_points")
    for a, b in zip(by_image, by_points, strict=True):
        points = [np.array(frame["people"][0]["pose_keypoints_2d"]) for frame in (a, b)]
        np.testing.assert_allclose(points[0], points[1], atol=0.1)


def test_the_node_shows_its_device_and_keeps_the_networks_until_memory_is_freed(host, workflow):
    graph, extract = extracting(workflow)
    assert keypoints_of(host, graph, [extract, 0], "once")
    assert "DWPose runs on cpu" in host.log()
    opened = host.log().count("yolox_l.onnx runs on")
    graph[extract]["inputs"]["detect_every"] = 1
    assert keypoints_of(host, graph, [extract, 0], "twice")
    assert host.log().count("yolox_l.onnx runs on") == opened
    host.forget()
    graph[extract]["inputs"]["detect_every"] = 3
    assert keypoints_of(host, graph, [extract, 0], "thrice")
    assert host.log().count("yolox_l.onnx runs on") == opened + 1


def error_of(host, graph: dict, source: list) -> str:
    error = host.run(saving_keypoints(graph, source, "refused")).error
    assert error is not None
    assert len(error.splitlines()) == 1
    return error


def test_a_missing_device_is_refused_with_the_reason(host, workflow):
    graph, extract = extracting(workflow)
    graph[extract]["inputs"]["device"] = "cuda"
    assert "cuda" in error_of(host, graph, [extract, 0])


def test_exchanged_networks_are_refused(host, workflow):
    dwpose = host.base / "models" / "dwpose"
    shutil.copy(dwpose / "dw-ll_ucoco_384.onnx", dwpose / "swapped.onnx")
    graph, extract = extracting(workflow)
    graph[extract]["inputs"]["bbox_detector"] = "swapped.onnx"
    assert "exchange the two files" in error_of(host, graph, [extract, 0])


def test_a_missing_network_is_named_with_its_size_and_source(host, workflow):
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
def test_json_that_holds_no_keypoints_is_refused(host, workflow, text):
    name = f"bad{abs(hash(text))}.json"
    (host.base / "input" / name).write_text(text)
    graph = {"load": {"class_type": "UniAnimateLoadKeypoints", "inputs": {"file": name}}}
    assert name in error_of(host, graph, ["load", 0])


def test_a_video_is_still_there_after_use(host, workflow):
    """On Windows an open file cannot be moved."""
    graph, extract = extracting(workflow)
    assert keypoints_of(host, graph, [extract, 0], "moved")
    source = host.base / "input" / POSES
    source.rename(source.with_suffix(".moved"))
    source.with_suffix(".moved").rename(source)


@pytest.mark.parametrize("kind", ["DWPoseExtract", "PoseAlign"])
def test_skipping_all_frames_is_refused(host, workflow, kind):
    graph, align = aligning(workflow)
    node = node_of(graph, kind)
    graph[node]["inputs"]["skip_first_frames"] = FRAMES
    left = {
        "DWPoseExtract": f"of source is left after the first {FRAMES}",
        "PoseAlign": f"is left after the first {FRAMES} of {FRAMES}",
    }
    assert f"no frame {left[kind]} are skipped: skip fewer" in error_of(host, graph, [align, 2])


def test_skip_first_frames_and_frame_load_cap_choose_the_frames_that_are_searched(host, workflow):
    graph, extract = extracting(workflow)
    every = keypoints_of(host, graph, [extract, 0], "every")
    graph[extract]["inputs"] |= {"skip_first_frames": 2, "frame_load_cap": 3, "detect_every": 1}
    some = keypoints_of(host, graph, [extract, 0], "some")
    assert len(every) == FRAMES
    assert len(some) == 3


def put_keypoints(host, name: str, frames: list) -> dict:
    (host.base / "input" / name).write_text(json.dumps(frames))
    return {"class_type": "UniAnimateLoadKeypoints", "inputs": {"file": name}}


def test_driving_keypoints_without_anybody_are_refused(host, workflow):
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


def dancer_and_passer_by() -> list[list[Pose]]:
    """A dancer, unseen in frames 3 and 4 and with a trembling hand, behind a small person who comes first."""
    people = []
    for frame in range(8):
        joints = walking(frame / 64)
        joints[4] += 0.005 * (-1) ** frame
        small = skeleton(0.3 * walking(0) + (0.65, 0.05))
        people.append([small] if frame in (3, 4) else [small, skeleton(joints)])
    return people


def align_file(host, workflow, people: list[list[Pose]], prefix: str, **changes) -> list[dict]:
    """The keypoints that Pose Align makes of a file's, on the same canvas and in mode none."""
    graph, align = aligning(workflow)
    graph["load"] = put_keypoints(host, "several.json", frames_of_people(people, WIDTH, HEIGHT))
    graph["one"] = put_keypoints(host, "one.json", frames_of_people(people[:1], WIDTH, HEIGHT))
    graph[align]["inputs"] |= {"driving": ["load", 0], "reference": ["one", 0], "mode": "none", "source_fps": 30.0}
    graph[align]["inputs"] |= changes
    return keypoints_of(host, graph, [align, 2], prefix)


@pytest.mark.parametrize(
    "options",
    [
        {"person": "tracked", "gaps": "interpolate", "longest_gap": 12, "smoothing": 0.0},
        {"person": "score", "gaps": "interpolate", "longest_gap": 12, "smoothing": 0.0},
        {"person": "largest", "gaps": "interpolate", "longest_gap": 12, "smoothing": 0.0},
        {"person": "tracked", "gaps": "repeat", "longest_gap": 12, "smoothing": 0.0},
        {"person": "tracked", "gaps": "interpolate", "longest_gap": 1, "smoothing": 0.0},
        {"person": "tracked", "gaps": "empty", "longest_gap": 12, "smoothing": 0.0},
        {"person": "tracked", "gaps": "interpolate", "longest_gap": 12, "smoothing": 0.6},
    ],
)
def test_pose_align_chooses_fills_and_smooths_the_keypoints_of_a_file(host, workflow, options):
    """So that keypoints of other detectors and of files get what those of DWPose Extract get."""
    people = dancer_and_passer_by()
    chosen = choose_people(people, options["person"], aspect=WIDTH / HEIGHT)
    filled, _ = fill_gaps(chosen, options["gaps"], longest=options["longest_gap"])
    expected = smooth_poses(filled, options["smoothing"], fps=30.0)
    aligned = people_by_frame(align_file(host, workflow, people, "file", **options))
    assert len(aligned) == len(people)
    for (pose,), wanted in zip(aligned, expected, strict=True):
        np.testing.assert_allclose(pose.flat()[0], wanted.flat()[0], atol=1e-9)


def test_the_dancer_is_followed_filled_and_smoothed(host, workflow):
    """What the options must bring, whatever the core does: the passer-by never dances, the hand trembles less."""
    plain, smooth, empty = (
        [pose for (pose,) in people_by_frame(align_file(host, workflow, dancer_and_passer_by(), "own", **options))]
        for options in ({"smoothing": 0.0}, {"smoothing": 0.6}, {"gaps": "empty"})
    )
    assert all(np.ptp(pose.body[:, 1]) > 0.5 for pose in plain)
    assert [frame for frame, pose in enumerate(empty) if pose.is_empty] == [3, 4]
    wrist = np.array([[pose.body[4] for pose in poses] for poses in (plain, smooth)])
    trembling = np.abs(np.diff(wrist, 2, axis=1)).mean((1, 2))
    assert trembling[1] < 0.6 * trembling[0]


def test_only_aligned_keypoints_carry_how_to_draw_them(host, workflow):
    """UniAnimate Long Video draws them so; keypoints of everybody are drawn as trained."""
    graph, align = aligning(workflow)
    graph[align]["inputs"] |= {"draw_hands": False, "stick_width": 7}
    drawing = {"hands": False, "feet": True, "head": True, "face": False, "stick_width": 7, "canvas": "trained"}
    for frame in keypoints_of(host, graph, [align, 2], "drawing"):
        assert frame["unianimate_drawing"] == drawing
    extract = node_of(graph, "DWPoseExtract")
    assert all("unianimate_drawing" not in frame for frame in keypoints_of(host, graph, [extract, 0], "plain"))
