"""Each mistake a user can make ends in one clear sentence, and leaves nothing half done."""

from __future__ import annotations

import shutil

import pytest
import torch
from safetensors.torch import save_file

from tests.host.graphs import node_of
from tests.host.made_up import CHECKPOINT, FRAMES, REFERENCE, VAE, image, write_image
from tests.host.server import PromptRefused

pytestmark = pytest.mark.host


def sample_inputs(graph: dict) -> dict:
    return graph[node_of(graph, "UniAnimateSample")]["inputs"]


def test_a_missing_checkpoint_is_named_with_its_size_folder_and_source(host, workflow):
    graph = workflow("unianimate_clip")
    graph[node_of(graph, "LoadUniAnimate")]["inputs"]["checkpoint"] = "unianimate_16f_32f_non_ema_223000.pth"
    with pytest.raises(PromptRefused) as refused:
        host.queue(graph)
    said = str(refused.value)
    for part in ("unianimate_16f_32f_non_ema_223000.pth", "5.67 GB", "huggingface.co/camenduru/unianimate", "models"):
        assert part in said


def test_a_missing_clip_file_is_named_with_its_size_folder_and_source(host, workflow):
    graph = workflow("unianimate_clip")
    graph[node_of(graph, "LoadUniAnimate")]["inputs"]["clip"] = "open_clip_pytorch_model.bin"
    with pytest.raises(PromptRefused) as refused:
        host.queue(graph)
    for part in ("open_clip_pytorch_model.bin", "3.94 GB", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "clip_vision"):
        assert part in str(refused.value)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"width": 500}, "width is 500, not a multiple of 64: the nearest that work are 448 and 512"),
        ({"height": 100}, "height is 100, not a multiple of 64: the nearest that work are 64 and 128"),
        ({"pose_start_percent": 0.8, "pose_end_percent": 0.2}, "poses guide from 0.8 to 0.2"),
    ],
)
def test_an_impossible_setting_is_refused_in_one_sentence(host, workflow, change, sentence):
    graph = workflow("unianimate_clip")
    sample_inputs(graph).update(change)
    run = host.run(graph)
    assert run.error is not None
    assert sentence in run.error
    assert len(run.error.splitlines()) == 1


def test_several_reference_poses_are_refused(host, workflow):
    graph = workflow("unianimate_clip")
    sample_inputs(graph)["reference_pose"] = sample_inputs(graph)["poses"]
    error = host.run(graph).error
    assert error is not None
    assert f"reference_pose has {FRAMES} images: connect one" in error


def test_poses_on_another_canvas_than_the_reference_pose_are_refused(host, workflow):
    write_image(host.base / "input" / "wide.png", image("wide", 1, width=320, height=192)[0])
    graph = workflow("unianimate_repose")
    poses = sample_inputs(graph)["poses"][0]
    graph[poses]["inputs"]["image"] = "wide.png"
    error = host.run(graph).error
    assert error is not None
    assert "poses is 320x192, reference_pose 128x192" in error


def test_another_model_is_refused_by_name(host, workflow):
    """A Stable Diffusion checkpoint was put into models/unianimate by mistake."""
    wrong = host.base / "models" / "unianimate" / "sd15.safetensors"
    save_file(
        {"cond_stage_model.x": torch.zeros(1), "model.diffusion_model.input_blocks.0.0.weight": torch.zeros(1)}, wrong
    )
    graph = workflow("unianimate_clip")
    graph[node_of(graph, "LoadUniAnimate")]["inputs"]["checkpoint"] = wrong.name
    error = host.run(graph).error
    assert error is not None
    assert "sd15.safetensors looks like a Stable Diffusion checkpoint" in error


def test_a_cut_off_checkpoint_is_refused(host, workflow):
    whole = host.base / "models" / "unianimate" / CHECKPOINT
    cut = whole.with_name("cut.safetensors")
    cut.write_bytes(whole.read_bytes()[:100_000])
    graph = workflow("unianimate_clip")
    graph[node_of(graph, "LoadUniAnimate")]["inputs"]["checkpoint"] = cut.name
    error = host.run(graph).error
    assert error is not None
    assert "cut.safetensors (100,000 bytes) is cut off, damaged, or no checkpoint" in error


def test_another_vae_is_refused(host, workflow):
    """A VAE of 16 channels, like those of newer models."""
    from safetensors.torch import load_file

    small = load_file(host.base / "models" / "vae" / VAE)
    wide = dict(small)
    for name in ("taesd_decoder.1.weight",):
        wide[name] = torch.zeros(64, 16, 3, 3)
    for name, tensor in small.items():
        if name.startswith("taesd_encoder.") and tensor.shape[0] == 4:
            wide[name] = torch.zeros(16, *tensor.shape[1:])
    save_file(wide, host.base / "models" / "vae" / "wide.safetensors")
    graph = workflow("unianimate_clip")
    graph[node_of(graph, "VAELoader")]["inputs"]["vae_name"] = "wide.safetensors"
    error = host.run(graph).error
    assert error is not None
    assert "vae makes latents of 16 channels" in error


def test_images_with_alpha_are_accepted(host, workflow):
    import numpy as np

    pixels = image("reference", 1)[0]
    alpha = np.concatenate([pixels, np.full_like(pixels[..., :1], 128)], axis=-1)
    write_image(host.base / "input" / "alpha.png", alpha)
    graph = workflow("unianimate_repose")
    for node in graph.values():
        if node["inputs"].get("image") == REFERENCE:
            node["inputs"]["image"] = "alpha.png"
    assert host.run(graph).error is None


def test_conditioning_for_another_clip_is_refused_by_the_model(host, workflow):
    graph = workflow("unianimate_ksampler")
    graph["empty"] = {"class_type": "EmptyLatentImage", "inputs": {"width": 128, "height": 192, "batch_size": 3}}
    graph[node_of(graph, "KSampler")]["inputs"]["latent_image"] = ["empty", 0]
    error = host.run(graph).error
    assert error is not None
    assert f"the conditioning has {FRAMES} poses, the latent 3 frames" in error


def test_conversion_writes_a_checkpoint_that_loads_and_leaves_nothing_else(host, workflow):
    folder = host.base / "models" / "unianimate"
    shutil.copy(folder / CHECKPOINT, folder / "copy.safetensors")
    before = set(folder.iterdir())
    graph = {
        "1": {"class_type": "UniAnimateConvert", "inputs": {"checkpoint": "copy.safetensors", "precision": "fp16"}}
    }
    assert host.run(graph).error is None
    assert {path.name for path in set(folder.iterdir()) - before} == {"copy_fp16.safetensors"}
    graph = workflow("unianimate_clip")
    graph[node_of(graph, "LoadUniAnimate")]["inputs"]["checkpoint"] = "copy_fp16.safetensors"
    assert host.run(graph).error is None
