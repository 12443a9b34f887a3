"""The networks that the tables compare are trained the same way, and differ only as their names say."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks import train_ablation
from benchmarks.comparison.separate_reference import SeparateReferenceUNet, load_network
from benchmarks.train_ablation import KINDS, MAMBA, SEPARATE, UNIFIED, WITHOUT_POSE, finished, network_of, result_of
from tests.support.training import NETWORK, SETTINGS
from unianimate_core.model import UNet
from unianimate_core.training import presets
from unianimate_core.training.presets import MINI, Preset, preset

SMALL = Preset(
    network=NETWORK,
    settings={
        "width": 64,
        "height": 64,
        "frames": (2,),
        "batch": 2,
        "learning_rate": 1e-3,
        "ema_decay": 0.5,
        "precision": "fp32",
    },
    run={"steps": 1, "save_every": 3},
    characters=2,
    motion_frames=3,
)


@pytest.fixture(autouse=True)
def small_preset(monkeypatch):
    monkeypatch.setitem(presets.PRESETS, "small", SMALL)


def trained(kind, folder, steps=4):
    command = f"{folder} {kind} --vae linear --steps {steps} --preset small --workers 0"
    train_ablation.main(command.split())
    return load_network(result_of(folder, kind))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_trains_continues_and_loads_in_the_tables(kind, tmp_path, capsys):
    """A run that stopped at step 3 ends like one that did not stop."""
    whole = trained(kind, tmp_path / "whole")
    trained(kind, tmp_path / "stopped", steps=3)
    continued = trained(kind, tmp_path / "stopped")
    assert isinstance(whole, SeparateReferenceUNet) == (kind == SEPARATE)
    assert (whole.config.mamba is not None) == (kind == MAMBA)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, continued.state_dict()[name]), name
    assert "wrote" in capsys.readouterr().out


@pytest.mark.slow
def test_one_command_trains_all_on_the_same_data(tmp_path, capsys):
    """Equal data and settings make them comparable. Only their kind differs."""
    train_ablation.main(f"{tmp_path} --vae linear --steps 1 --preset small --workers 0".split())
    networks, steps = finished(tmp_path)
    assert steps == 1
    assert list(networks) == list(KINDS)
    assert all(path.is_file() for path in networks.values())
    assert len(list((tmp_path / "data").iterdir())) == SMALL.characters


@pytest.mark.slow
def test_networks_that_were_trained_differently_are_not_compared(tmp_path, capsys):
    """A network that trained longer would seem better."""
    trained(UNIFIED, tmp_path, steps=1)
    trained(MAMBA, tmp_path, steps=2)
    with pytest.raises(ValueError, match="mamba was not trained as unified was \\(steps was 1 and is 2\\)"):
        finished(tmp_path)


def test_an_unknown_kind_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        train_ablation.main([str(tmp_path), "unifed", "--vae", "linear"])
    assert "there is no kind 'unifed': choose from unified," in capsys.readouterr().err


def test_the_preset_for_comparisons_is_the_minis_at_a_smaller_size():
    """Results of comparisons should hold for the mini."""
    small = preset("ablation")
    different = {name for name, value in small.settings.items() if MINI.settings[name] != value}
    assert different == {"width", "height"}
    assert {name for name, value in small.run.items() if MINI.run[name] != value} == {"steps"}
    assert small.world == MINI.world
    assert 2e6 < sum(parameter.numel() for parameter in UNet(small.network, device="meta").parameters()) < 3e6


def test_without_a_reference_pose_its_encoder_has_no_effect_and_learns_nothing():
    """Everything else starts as in the unified network."""
    networks = {kind: network_of(kind, NETWORK, SETTINGS, torch.device("cpu"))[0] for kind in (UNIFIED, WITHOUT_POSE)}
    for name, tensor in networks[UNIFIED].state_dict().items():
        assert torch.equal(tensor, networks[WITHOUT_POSE].state_dict()[name])
    pose = torch.rand(1, 3, 1, 64, 64)
    unet = networks[WITHOUT_POSE]
    given = {"text": torch.zeros(1, 1, NETWORK.context_dim), "reference_latent": torch.randn(1, 4, 1, 8, 8)}
    with_pose, without = unet.embed(**given, reference_pose=pose), unet.embed(**given)
    assert torch.equal(with_pose.reference, without.reference)
    with_pose.reference.square().sum().backward()
    assert all(not parameter.grad.any() for parameter in unet.conditions.reference_pose.parameters())
    assert not torch.equal(networks[UNIFIED].embed(**given, reference_pose=pose).reference, without.reference)


def test_a_separate_reference_network_starts_like_the_unified_one():
    """Residual branches start at zero in the second network too."""
    unet, _ = network_of(SEPARATE, NETWORK, replace(SETTINGS, dropout=0.0), torch.device("cpu"))
    stage = unet.reference_network.down[0].stages[0]
    assert not stage.residual.stage_out.conv.weight.any()
    assert not stage.spatial.proj_out.weight.any()
