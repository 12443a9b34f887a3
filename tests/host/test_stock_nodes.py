"""ComfyUI's own nodes work on the MODEL: what a user may put between the loader and the sampler."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.host.graphs import PATCHES, latent_of, node_of, patched
from tests.host.made_up import tensor, tiny_checkpoint
from unianimate_core.checkpoint import read_checkpoint

pytestmark = pytest.mark.host


@pytest.mark.parametrize("class_type", PATCHES)
@pytest.mark.parametrize(
    ("name", "sampler"), [("unianimate_clip", "UniAnimateSample"), ("unianimate_ksampler", "KSampler")]
)
def test_a_patched_model_samples_and_differs(host, workflow, name, sampler, class_type):
    plain, _ = latent_of(host, workflow(name), sampler)
    latents, _ = latent_of(host, patched(workflow(name), sampler, class_type, **PATCHES[class_type]), sampler)
    assert latents.shape == plain.shape
    assert latents.isfinite().all()
    assert not latents.equal(plain)


def test_a_compiled_model_samples_as_the_plain_one(host, workflow):
    name, sampler = "unianimate_clip", "UniAnimateSample"
    plain, _ = latent_of(host, workflow(name), sampler)
    compiled, _ = latent_of(host, patched(workflow(name), sampler, "TorchCompileModel", backend="inductor"), sampler)
    assert (compiled - plain).norm() / plain.norm() < 1e-3


def test_sampler_custom_advanced_agrees_with_ksampler(host, workflow):
    """The sampler that is put together from parts, on our conditioning."""
    graph = workflow("unianimate_ksampler")
    stock, _ = latent_of(host, graph, "KSampler")
    sampler = graph.pop(node_of(graph, "KSampler"))["inputs"]
    parts = {
        "noise": ("RandomNoise", {"noise_seed": sampler["seed"]}),
        "guider": (
            "CFGGuider",
            {key: sampler[key] for key in ("model", "positive", "negative", "cfg")},
        ),
        "sampler": ("KSamplerSelect", {"sampler_name": "euler"}),
        "sigmas": (
            "BasicScheduler",
            {"model": sampler["model"], "scheduler": "ddim_uniform", "steps": sampler["steps"], "denoise": 1.0},
        ),
        "custom": (
            "SamplerCustomAdvanced",
            {"latent_image": sampler["latent_image"]}
            | {part: [part, 0] for part in ("noise", "guider", "sampler", "sigmas")},
        ),
    }
    graph |= {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in parts.items()}
    graph[node_of(graph, "VAEDecode")]["inputs"]["samples"] = ["custom", 0]
    latents, _ = latent_of(host, graph, "SamplerCustomAdvanced")
    assert latents.equal(stock)


def test_a_lora_changes_what_it_names(host, workflow):
    """Keys are those of the modules, as ComfyUI derives them from the model."""
    layer = "diffusion_model.down.0.stages.0.spatial.block.self_attention.qkv"
    lora = {f"{layer}.lora_A.weight": tensor("lora a", (2, 32)), f"{layer}.lora_B.weight": tensor("lora b", (96, 2))}
    save_file(lora, host.base / "models" / "loras" / "test.safetensors")
    name, sampler = "unianimate_clip", "UniAnimateSample"
    plain, _ = latent_of(host, workflow(name), sampler)
    graph = patched(workflow(name), sampler, "LoraLoaderModelOnly", lora_name="test.safetensors", strength_model=1.0)
    changed, _ = latent_of(host, graph, sampler)
    assert changed.isfinite().all()
    assert not changed.equal(plain)
    assert "lora key not loaded" not in host.log()


def test_a_saved_model_is_the_checkpoint_again(host, workflow):
    graph = workflow("unianimate_clip")
    loader = node_of(graph, "LoadUniAnimate")
    saving = {
        loader: graph[loader],
        "save": {"class_type": "ModelSave", "inputs": {"model": [loader, 0], "filename_prefix": "saved/model"}},
    }
    assert host.run(saving).error is None
    (path,) = (host.base / "output" / "saved").glob("*.safetensors")
    state_dict, config = read_checkpoint(path)
    assert config.head_dim == 16
    original = tiny_checkpoint()
    assert set(state_dict) == set(original)
    assert all(torch.equal(state_dict[name], original[name]) for name in original)
    assert "model.diffusion_model.input_blocks.0.0.weight" in load_file(path)


def test_the_first_frame_guides(host, workflow):
    graph = workflow("unianimate_clip")
    plain, _ = latent_of(host, graph, "UniAnimateSample")
    sampler = graph[node_of(graph, "UniAnimateSample")]["inputs"]
    sampler["first_frame"] = sampler["reference_image"]
    guided, _ = latent_of(host, graph, "UniAnimateSample")
    assert not guided.equal(plain)


@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
def test_each_precision_samples(host, workflow, precision):
    graph = workflow("unianimate_repose")
    graph[node_of(graph, "LoadUniAnimate")]["inputs"]["precision"] = precision
    latents, _ = latent_of(host, graph, "UniAnimateSample")
    assert latents.isfinite().all()
