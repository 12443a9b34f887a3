"""The tiny VAE: the form that ComfyUI loads, and a training that can be cut off at any moment."""

from __future__ import annotations

import errno
import json
import os
import re
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from unianimate_core import mini
from unianimate_core.__main__ import main
from unianimate_core.checkpoint.files import CheckpointError
from unianimate_core.storage.run_lock import LOCK_NAME, RunBusy, run_lock
from unianimate_core.training.vae import trainer as training
from unianimate_core.training.vae.crops import crops
from unianimate_core.training.vae.initial_weights import initialize_from_mean_colors
from unianimate_core.training.vae.quality import reconstruct
from unianimate_core.training.vae.trainer import VaeTrainingSettings, train_vae
from unianimate_core.vae.tiny import TinyVAE, load_tiny_vae, save_tiny_vae

SMALL = VaeTrainingSettings(steps=4, clips=1, frames=1, size=16, warm_up=2, precision="fp32")

# By index in the sequence: outputs and inputs of a 3x3 convolution, and whether it has a bias. A block is three of
# 64 x 64.
ENCODER = {0: (64, 3, True), 2: (64, 64, False), 6: (64, 64, False), 10: (64, 64, False), 14: (4, 64, True)}
DECODER = {1: (64, 4, True), 7: (64, 64, False), 12: (64, 64, False), 17: (64, 64, False), 19: (3, 64, True)}
BLOCKS = {"taesd_encoder": (1, 3, 4, 5, 7, 8, 9, 11, 12, 13), "taesd_decoder": (3, 4, 5, 8, 9, 10, 13, 14, 15, 18)}


def taesd_shapes() -> dict[str, tuple[int, ...]]:
    """The names and shapes of the published form."""
    shapes: dict[str, tuple[int, ...]] = {"vae_scale": (), "vae_shift": ()}
    for part, convolutions in (("taesd_encoder", ENCODER), ("taesd_decoder", DECODER)):
        for index, (outputs, inputs, bias) in convolutions.items():
            shapes[f"{part}.{index}.weight"] = (outputs, inputs, 3, 3)
            if bias:
                shapes[f"{part}.{index}.bias"] = (outputs,)
        for index in BLOCKS[part]:
            for layer in (0, 2, 4):
                shapes[f"{part}.{index}.conv.{layer}.weight"] = (64, 64, 3, 3)
                shapes[f"{part}.{index}.conv.{layer}.bias"] = (64,)
    return shapes


def test_names_and_shapes_equal_taesds():
    """ComfyUI identifies the form by its names, and ignores unknown ones."""
    assert {name: tuple(tensor.shape) for name, tensor in TinyVAE().state_dict().items()} == taesd_shapes()


def test_the_latent_of_a_frame_does_not_depend_on_its_neighbors():
    """b 3 f H W to b 4 f h w and back."""
    vae = TinyVAE()
    clip = torch.rand(2, 3, 3, 32, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        latent = vae.encode(clip)
        decoded = vae.decode(latent)
        alone = vae.encode(clip[1:, :, 2:])
    assert latent.shape == (2, 4, 3, 4, 2)
    assert decoded.shape == clip.shape
    assert decoded.min() >= 0
    assert decoded.max() <= 1
    torch.testing.assert_close(latent[1:, :, 2:], alone)


def test_a_saved_vae_loads_in_half_precision(tmp_path):
    vae = TinyVAE()
    save_tiny_vae(vae.state_dict(), tmp_path / "vae.safetensors", {})
    assert (tmp_path / "vae.safetensors").stat().st_size < 6e6
    loaded = load_tiny_vae(tmp_path / "vae.safetensors").state_dict()
    assert loaded.keys() == vae.state_dict().keys()
    assert all(torch.equal(loaded[name], tensor.half().float()) for name, tensor in vae.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("taesd_decoder.19.bias"), r"1 tensors .* \(taesd_decoder\.19\.bias\)"),
        (lambda t: t.update(first_stage=torch.zeros(1)), r"unexpected or misshapen \(first_stage\)"),
        (lambda t: t.update({"taesd_encoder.14.bias": torch.zeros(16)}), r"taesd_encoder\.14\.bias"),
        (lambda t: t.update(vae_scale=torch.tensor(0.13025)), r"scale 0\.13025 .* need 0\.18215"),
    ],
)
def test_another_vae_is_refused(tmp_path, change, message):
    """A VAE with 16 channels, or with SDXL's units, would decode to nonsense."""
    tensors = TinyVAE().state_dict()
    change(tensors)
    save_file(tensors, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=message):
        load_tiny_vae(tmp_path / "other.safetensors")


def test_training_starts_with_coarse_images_and_latents_of_unit_variance():
    """From gray images, this would take hundreds of steps."""
    vae = TinyVAE()
    initialize_from_mean_colors(vae, torch.cat([crops(step, 2, 2, 32) for step in range(8)]))
    start = reconstruct(vae, 128, 64, 3)
    assert start.psnr.mean() > 18
    assert (start.latents.std((0, 2, 3)) - 1).abs().max() < 0.5


@pytest.fixture
def quick(monkeypatch):
    """Set the initial weights from a single batch."""
    monkeypatch.setattr(training, "STARTING_BATCHES", 1)


def stop_at(step: int, reason: BaseException):
    """A replacement of `crops` that fails at this step."""

    def stopping(at: int, *others):
        if at == step:
            raise reason
        return crops(at, *others)

    return stopping


def test_a_run_that_is_cut_off_continues_to_the_same_bits(tmp_path, monkeypatch, quick):
    """To resume, the same command is run again."""
    train_vae(tmp_path / "whole.safetensors", SMALL)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "crops", stop_at(3, KeyboardInterrupt()))
        train_vae(tmp_path / "cut.safetensors", SMALL, save_every=2)
    assert not (tmp_path / "cut.safetensors").exists()
    train_vae(tmp_path / "cut.safetensors", SMALL)
    cut, whole = (load_file(tmp_path / f"{name}.safetensors") for name in ("cut", "whole"))
    assert all(torch.equal(cut[name], whole[name]) for name in whole)
    curves = [(tmp_path / f"{name}.training" / "curve.csv").read_text() for name in ("cut", "whole")]
    assert curves[0] == curves[1]
    assert [line.split(",")[0] for line in curves[0].splitlines()] == ["step", "0", "1", "2", "3"]


def test_the_decoder_can_learn_alone_and_latents_stay(tmp_path, quick):
    """Networks trained on the latents need them unchanged."""
    train_vae(tmp_path / "first.safetensors", SMALL)
    further = replace(SMALL, decoder_of=str(tmp_path / "first.safetensors"), fine_from=0.0)
    train_vae(tmp_path / "second.safetensors", further)
    first, second = load_file(tmp_path / "first.safetensors"), load_file(tmp_path / "second.safetensors")
    changed = {name for name in first if not torch.equal(first[name], second[name])}
    assert len(changed) > 30
    assert all(name.startswith("taesd_decoder") for name in changed)


def test_settings_that_differ_from_the_runs_are_refused(tmp_path, quick):
    """A run with half of each would be neither."""
    train_vae(tmp_path / "vae.safetensors", SMALL)
    other = replace(SMALL, learning_rate=0.1, seed=5)
    with pytest.raises(ValueError, match=r"learning_rate was 0\.005 and is 0\.1; seed was 0 and is 5"):
        train_vae(tmp_path / "vae.safetensors", other)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_state_before(tmp_path, monkeypatch, quick):
    broken = torch.full((1, 3, 16, 16), torch.nan)
    monkeypatch.setattr(training, "crops", lambda step, *others: broken if step == 2 else crops(step, *others))
    with pytest.raises(ValueError, match="the loss is nan at step 2: the last saved state is kept"):
        train_vae(tmp_path / "vae.safetensors", SMALL, save_every=1)
    kept = sorted(state.name for state in (tmp_path / "vae.training" / "states").iterdir())
    assert kept == ["step_00000001", "step_00000002"]


def test_a_full_disk_leaves_the_last_good_state(tmp_path, monkeypatch, quick):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training, "crops", stop_at(2, KeyboardInterrupt()))
        train_vae(tmp_path / "vae.safetensors", SMALL, save_every=2)
    state = tmp_path / "vae.training" / "states" / "step_00000002"
    good = {path.name: path.read_bytes() for path in state.iterdir()}

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(OSError, match=r"step 3 could not be written .* make room"):
        patch.setattr(os, "fsync", full)
        train_vae(tmp_path / "vae.safetensors", SMALL, save_every=1)
    assert {path.name: path.read_bytes() for path in state.iterdir()} == good
    assert list(state.parent.iterdir()) == [state]
    train_vae(tmp_path / "vae.safetensors", SMALL)


def test_two_processes_do_not_train_the_same_run(tmp_path, quick):
    """Each would remove the other's states."""
    with run_lock(tmp_path / "vae.training"), pytest.raises(RunBusy, match=r"vae\.training is in use by .*: wait"):
        train_vae(tmp_path / "vae.safetensors", SMALL)
    assert [path.name for path in (tmp_path / "vae.training").iterdir()] == [LOCK_NAME]


@pytest.mark.parametrize(("bf16_units", "precision"), [(True, "bf16"), (False, "fp32")])
def test_a_run_records_the_precision_that_auto_chose(tmp_path, monkeypatch, quick, caplog, bf16_units, precision):
    """So it does not continue in another one on another machine."""
    monkeypatch.setattr("unianimate_core.training.settings.cpu_has_bf16", lambda: bf16_units)
    with caplog.at_level("INFO"):
        train_vae(tmp_path / "vae.safetensors", replace(SMALL, steps=1, precision="auto"))
    state = tmp_path / "vae.training" / "states" / "step_00000001" / "state.json"
    assert json.loads(state.read_text())["identity"]["precision"] == precision
    assert [record.message for record in caplog.records if "training in" in record.message] == [
        f"training in {precision} on cpu" + ("" if bf16_units else ", which has no bf16 units")
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps is 0: give at least 1"),
        ({"size": 60}, "size is 60: give a multiple of 8 up to 64"),
        ({"precision": "fp8"}, "precision is 'fp8': choose one of auto, bf16, fp32"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        VaeTrainingSettings(**settings)


def test_the_command_refuses_an_output_with_another_suffix(tmp_path, capsys):
    assert main(["train-vae", "--output", str(tmp_path / "vae.pt")]) == 2
    assert "output is vae.pt: give a name that ends in .safetensors" in capsys.readouterr().err


@pytest.mark.parametrize(("width", "height", "decibels"), [(64, 128, 27), (128, 128, 28.5), (128, 192, 28.5)])
def test_the_shipped_vae_reconstructs_people_it_never_saw(width, height, decibels):
    """A network trained on its latents cannot restore what it loses."""
    assert mini.VAE.stat().st_size < 6e6
    result = reconstruct(load_tiny_vae(mini.VAE), height, width, 12)
    assert result.psnr.mean() > decibels
    deviation = result.latents.std((0, 2, 3))
    assert deviation.min() > 0.5
    assert deviation.max() < 1.5
