"""A checkpoint with the temporal Mamba in a real ComfyUI: the same node loads it, and all that a MODEL can works."""

from __future__ import annotations

import importlib

import pytest
import torch
from safetensors.torch import save_file

from tests.host.graphs import PATCHES, latent_of, node_of, patched
from tests.host.long_videos import run_long
from tests.host.made_up import FRAMES, HEIGHT, MAMBA, WIDTH, read_video
from tests.support.mamba import mamba_unet, mamba_weights
from tests.support.recorded import EVERYTHING, conditions, latents, tensor, text
from unianimate_core.checkpoint import read_checkpoint
from unianimate_core.checkpoint.loading import metadata_of

pytestmark = pytest.mark.host

SAMPLER = "UniAnimateSample"


@pytest.fixture
def mamba(workflow):
    """A function: the shipped workflow of this name, with the checkpoint of the temporal Mamba."""

    def load(name: str = "unianimate_clip") -> dict:
        return with_mamba(workflow(name))

    return load


def with_mamba(graph: dict) -> dict:
    graph[node_of(graph, "LoadUniAnimate")]["inputs"]["checkpoint"] = MAMBA
    return graph


@pytest.mark.parametrize("name", ["unianimate_clip", "unianimate_from_video"])
def test_a_workflow_makes_its_video(host, mamba, name):
    graph = mamba(name)
    run = host.run(graph)
    assert run.error is None
    video = read_video(host.output(run, node_of(graph, "SaveVideo")))
    assert video.shape == (FRAMES, HEIGHT, WIDTH, 3)
    assert video.std() > 1
    assert "the temporal Mamba scans with torch on cpu" in host.log()


def test_it_is_another_network_than_the_transformer(host, workflow, mamba):
    ours, _ = latent_of(host, mamba(), SAMPLER)
    theirs, _ = latent_of(host, workflow("unianimate_clip"), SAMPLER)
    assert ours.isfinite().all()
    assert not ours.equal(theirs)


@pytest.fixture(scope="module")
def loaded(pack, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / MAMBA
    save_file(mamba_weights(), path, metadata=metadata_of(mamba_unet().config))
    return lambda dtype: pack.host_model.load_model(str(path), dtype)


def host_v(patcher, dtype: torch.dtype) -> torch.Tensor:
    """What the network predicts behind ComfyUI's operations."""
    management = importlib.import_module("comfy.model_management")
    management.load_models_gpu([patcher])
    network = patcher.model.diffusion_model
    embedded = network.embed(text=text(), **conditions(EVERYTHING, "", 3, 128, 64))
    with torch.no_grad():
        return network.denoise(latents("x", 3, 128, 64).to(dtype), torch.tensor([501]), embedded).float()


def test_comfyuis_operations_give_the_networks_own_result(loaded):
    given = conditions(EVERYTHING, "", 3, 128, 64)
    with torch.no_grad():
        expected = mamba_unet()(latents("x", 3, 128, 64), torch.tensor([501]), text=text(), **given)
    v = host_v(loaded(torch.float32), torch.float32)
    assert (v - expected).norm() / expected.norm() < 1e-5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_decay_and_gate_stay_in_full_precision(loaded, dtype):
    network = loaded(dtype).model.diffusion_model
    full = {name for name, parameter in network.named_parameters() if parameter.dtype == torch.float32}
    assert {name.rsplit(".", 1)[-1] for name in full} == {"A_log", "A_b_log", "D", "D_b", "alpha"}
    assert len(full) == 5 * 11  # the tiny network has 11 temporal modules


def test_what_no_layer_holds_is_used_where_the_input_is(loaded):
    """A host that loads some of the weights leaves A, D and alpha elsewhere: in another precision, here, not device."""
    patcher = loaded(torch.float32)
    expected = host_v(patcher, torch.float32)
    for name, parameter in patcher.model.diffusion_model.named_parameters():
        if name.endswith(("A_log", "D_b", "alpha")):
            parameter.data = parameter.data.double()
    assert (host_v(patcher, torch.float32) - expected).norm() / expected.norm() < 1e-5


@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
def test_each_precision_samples(host, mamba, precision):
    graph = mamba("unianimate_repose")
    graph[node_of(graph, "LoadUniAnimate")]["inputs"]["precision"] = precision
    result, _ = latent_of(host, graph, SAMPLER)
    assert result.isfinite().all()


@pytest.mark.parametrize("class_type", PATCHES)
def test_a_patched_model_samples_and_differs(host, mamba, class_type):
    plain, _ = latent_of(host, mamba(), SAMPLER)
    changed, _ = latent_of(host, patched(mamba(), SAMPLER, class_type, **PATCHES[class_type]), SAMPLER)
    assert changed.isfinite().all()
    assert not changed.equal(plain)


def test_it_is_compiled_as_torchcompilemodel_does(loaded):
    """Without generating code, which takes minutes on a CPU."""
    helpers = importlib.import_module("comfy_api.torch_helpers")
    patcher = loaded(torch.float32)
    expected = apply_model(patcher)
    compiled = patcher.clone()
    helpers.set_torch_compile_wrapper(model=compiled, backend="eager")
    v = apply_model(compiled)
    assert (v - expected).norm() / expected.norm() < 1e-4


def apply_model(patcher) -> torch.Tensor:
    """What samplers call, with the wrappers that nodes have set."""
    management = importlib.import_module("comfy.model_management")
    management.load_models_gpu([patcher])
    options = patcher.model_options["transformer_options"] | {"cond_or_uncond": [0], "wrappers": patcher.wrappers}
    clip, t = tensor("clip", (3, 4, 16, 8)), torch.full((3,), 5.0)
    context = text().expand(3, -1, -1)
    with torch.no_grad():
        return patcher.model.apply_model(clip, t, c_crossattn=context, transformer_options=options)


@pytest.mark.parametrize(
    ("layer", "rows", "columns"), [("in_proj", 128, 32), ("x_proj_b", 34, 64), ("dt_proj", 64, 2), ("out_proj", 32, 64)]
)
def test_a_lora_changes_every_layer_of_the_mixer(host, mamba, layer, rows, columns):
    key = f"diffusion_model.down.0.stages.0.temporal.block.mixer.{layer}"
    lora = {f"{key}.lora_A.weight": tensor("a", (2, columns)), f"{key}.lora_B.weight": tensor("b", (rows, 2))}
    save_file(lora, host.base / "models" / "loras" / f"mamba_{layer}.safetensors")
    plain, _ = latent_of(host, mamba(), SAMPLER)
    name = f"mamba_{layer}.safetensors"
    graph = patched(mamba(), SAMPLER, "LoraLoaderModelOnly", lora_name=name, strength_model=1.0)
    logged = len(host.log())
    changed, _ = latent_of(host, graph, SAMPLER)
    assert changed.isfinite().all()
    assert not changed.equal(plain)
    assert "lora key not loaded" not in host.log()[logged:]


def test_a_saved_model_is_the_checkpoint_again(host, mamba):
    graph = mamba()
    loader = node_of(graph, "LoadUniAnimate")
    saving = {
        loader: graph[loader],
        "save": {"class_type": "ModelSave", "inputs": {"model": [loader, 0], "filename_prefix": "saved_mamba/model"}},
    }
    assert host.run(saving).error is None
    (path,) = (host.base / "output" / "saved_mamba").glob("*.safetensors")
    state_dict, config = read_checkpoint(path)
    assert config == mamba_unet().config
    assert set(state_dict) == set(mamba_weights())
    assert all(torch.equal(state_dict[name], x) for name, x in mamba_weights().items())


@pytest.mark.parametrize("method", ["chain", "windows"])
def test_a_long_video_is_made_of_it(host, long_graph, method):
    graph = with_mamba(long_graph(host, seed=31, method=method))
    result, run = run_long(host, graph)
    video = read_video(host.output(run, node_of(graph, "SaveVideo")))
    assert len(result) == len(video) == 13
    assert result.isfinite().all()


def test_segments_of_the_other_network_are_not_taken_up(host, long_graph):
    """The weights are part of what a finished segment is known by."""
    transformer, _ = run_long(host, long_graph(host, seed=32))
    logged = len(host.log())
    ours, _ = run_long(host, with_mamba(long_graph(host, seed=32)))
    assert "finished before" not in host.log()[logged:]
    assert not ours.equal(transformer)


def test_a_checkpoint_that_does_not_fit_is_told(host, mamba):
    tensors = mamba_weights() | {"middle_block.2.mamba_blocks.0.mixer.D": torch.zeros(7)}
    save_file(
        tensors,
        host.base / "models" / "unianimate" / "wrong_mamba.safetensors",
        metadata=metadata_of(mamba_unet().config),
    )
    graph = mamba()
    graph[node_of(graph, "LoadUniAnimate")]["inputs"]["checkpoint"] = "wrong_mamba.safetensors"
    error = host.run(graph).error
    assert error is not None
    assert "1 misshapen (middle_block.2.mamba_blocks.0.mixer.D [7] for [256])" in error
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize(("parameter", "reached"), [("conv1d_b.weight", True), ("A_log", False), ("D", False)])
def test_patches_reach_layers_alone(loaded, parameter, reached):
    """ComfyUI patches what its layers hold. Load UniAnimate's help says so; when this fails, it may say better."""
    management = importlib.import_module("comfy.model_management")
    patcher = loaded(torch.float32)
    key = f"diffusion_model.middle.stage.temporal.block.mixer.{parameter}"
    before = patcher.model.state_dict()[key].clone()
    patched_model = patcher.clone()
    patched_model.add_patches({key: ("diff", (torch.ones_like(before),))})
    management.load_models_gpu([patched_model])
    change = patched_model.model.state_dict()[key] - before
    assert bool(change.any()) == reached
