"""Which conditions a clip keeps, the losses, and the settings of both."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from tests.support.training import SETTINGS, inputs, make_run, plain_unet
from unianimate_core.diffusion import NoiseSchedule, split_prediction
from unianimate_core.training import settings as settings_module
from unianimate_core.training.conditions import embed_kept
from unianimate_core.training.data.clips import TrainingClips, collate
from unianimate_core.training.data.dropping import DROPPABLE, draw_kept_conditions
from unianimate_core.training.loss import clip_losses, timestep_weight
from unianimate_core.training.settings import RunSettings, TrainingError, TrainingSettings, learning_rate_factor


def test_conditions_are_dropped_as_often_as_the_authors_drop_them():
    """A tenth of the clips has none, a tenth has all, and in the others each condition has a chance of a half."""
    random = np.random.default_rng(0)
    kept = np.array([list(draw_kept_conditions(random, TrainingSettings()).values()) for _ in range(20_000)])
    by_chance = 0.8 * 0.5 ** len(DROPPABLE)
    assert (~kept).all(1).mean() == pytest.approx(0.1 + by_chance, abs=0.01)
    assert kept.all(1).mean() == pytest.approx(0.1 + by_chance, abs=0.01)
    assert kept.mean(0) == pytest.approx(np.full(len(DROPPABLE), 0.5), abs=0.015)
    between = kept[kept.any(1) & ~kept.all(1)]
    assert np.abs(np.corrcoef(between.T) - np.eye(len(DROPPABLE))).max() < 0.1


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({"condition_drop": 0.0, "first_frame_drop": 0.0, "all_dropped": 0.0}, True),
        ({"condition_drop": 1.0, "first_frame_drop": 1.0, "all_kept": 0.0}, False),
        ({"all_dropped": 0.0, "all_kept": 1.0}, True),
        ({"all_dropped": 1.0, "all_kept": 0.0}, False),
    ],
)
def test_settings_can_keep_or_drop_every_condition(values, kept):
    settings = replace(SETTINGS, **values)
    for seed in range(20):
        assert set(draw_kept_conditions(np.random.default_rng(seed), settings).values()) == {kept}


@pytest.mark.parametrize("shown", [(), DROPPABLE, ("pose",), ("reference", "image"), ("reference_pose", "first_frame")])
def test_a_dropped_condition_has_the_effect_of_an_absent_one(shown):
    """Sampling leaves a condition out, and training must do the same. The batch's other clip keeps all conditions."""
    unet = plain_unet().eval()
    x, t, conditions = inputs()
    text = conditions.pop("text")
    kept = {name: torch.tensor([name in shown, True]) for name in DROPPABLE}
    with torch.no_grad():
        batch = unet.denoise(x, t, embed_kept(unet, text, conditions, kept))
        names = {"reference": "reference_latent"}
        alone = {names.get(name, name): conditions[names.get(name, name)][:1] for name in shown}
        expected = unet(x[:1], t[:1], text=text, **alone)
        torch.testing.assert_close(batch[:1], expected, rtol=1e-4, atol=1e-5)
        whole = unet(x[1:], t[1:], text=text, **{name: value[1:] for name, value in conditions.items()})
        torch.testing.assert_close(batch[1:], whole, rtol=1e-4, atol=1e-5)


def test_every_parameter_has_a_gradient_when_all_conditions_are_dropped():
    """Otherwise, processes that train together would wait for each other's gradients of different parameters."""
    unet = plain_unet()
    x, t, conditions = inputs()
    kept = {name: torch.tensor([False, False]) for name in DROPPABLE}
    unet.denoise(x, t, embed_kept(unet, conditions.pop("text"), conditions, kept)).sum().backward()
    assert all(parameter.grad is not None for parameter in unet.parameters())


def test_the_true_v_has_no_loss_and_clips_have_separate_losses(tmp_path):
    clips = collate([TrainingClips(make_run(tmp_path / "run").sequences, SETTINGS)[position] for position in (0, 1)])
    v = NoiseSchedule().v_target(clips.latents, clips.noise, clips.t)
    assert clip_losses(v, clips, SETTINGS).tolist() == [0, 0]
    v[1] += 0.5
    assert clip_losses(v, clips, SETTINGS).tolist() == pytest.approx([0, 0.25])


@pytest.mark.parametrize(("weighting", "weight_of_x0"), [
    ("v", lambda snr: snr + 1), ("x0", lambda snr: 1.0), ("min_snr", lambda snr: min(snr, 5.0)),
])  # fmt: skip
def test_each_weighting_weights_the_error_of_x0_by_its_formula(weighting, weight_of_x0):
    """At every noise level, although the loss measures v."""
    alpha_bar = NoiseSchedule().alpha_bar
    for t in (0, 200, 500, 998):
        ratio = float(alpha_bar[t] / (1 - alpha_bar[t]))
        x_t, v, error = torch.randn(3, 1, 4, 1, 8, 8, dtype=torch.float64)
        x0, x0_wrong = (split_prediction(x_t, vv, float(alpha_bar[t]))[0] for vv in (v, v + error))
        of_x0 = (x0 - x0_wrong).square().mean()
        of_v = timestep_weight(torch.tensor([t]), replace(SETTINGS, weighting=weighting)) * error.square().mean()
        assert float(of_v) == pytest.approx(weight_of_x0(ratio) * float(of_x0), rel=1e-4)


def test_the_learning_rate_rises_stays_and_falls():
    run = RunSettings(steps=100, cool_down=0.2)
    factors = [learning_rate_factor(step, 10, run) for step in range(100)]
    assert factors[0] == 0.1
    assert factors[9:81] == [1.0] * 72
    assert factors[99] == pytest.approx(0.05)
    assert all(before >= after for before, after in pairwise(factors[80:]))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 100}, "width is 100 pixels: give a multiple of 64"),
        ({"frames": ()}, "frames is .*at least one length"),
        ({"batch": 0}, "batch is 0: give 1 or more"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"condition_drop": 1.5}, "condition_drop is 1.5: give a share"),
        ({"all_dropped": 0.6, "all_kept": 0.6}, "add up to more than 1"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0"),
        ({"weighting": "p2"}, "weighting is 'p2': choose one of v, min_snr, x0"),
        ({"precision": "int8"}, "precision is 'int8': choose one of auto, fp16, bf16, fp32"),
    ],
)
def test_impossible_settings_are_refused(values, message):
    with pytest.raises(TrainingError, match=message):
        TrainingSettings(**values)


@pytest.mark.parametrize(
    ("batch", "processes", "at_once", "expected"),
    [(8, 1, 0, (8, 1)), (8, 2, 0, (4, 1)), (8, 2, 1, (1, 4)), (8, 1, 16, (8, 1))],
)
def test_processes_and_passes_share_a_batch_equally(batch, processes, at_once, expected):
    assert RunSettings(steps=1, clips_at_once=at_once).split_batch(batch, processes) == expected


def test_a_batch_that_does_not_divide_evenly_is_refused():
    with pytest.raises(TrainingError, match="a batch of 8 cannot be shared by 3 processes"):
        RunSettings(steps=1).split_batch(8, 3)
    with pytest.raises(TrainingError, match="clips_at_once 3 does not divide the 8 clips"):
        RunSettings(steps=1, clips_at_once=3).split_batch(8, 1)


@pytest.mark.parametrize(
    ("asked", "device", "bf16_units", "expected"),
    [
        ("auto", "cuda", False, "bf16"),
        ("auto", "cpu", True, "bf16"),
        ("auto", "cpu", False, "fp32"),
        ("bf16", "cpu", False, "bf16"),
        ("fp16", "cuda", True, "fp16"),
    ],
)
def test_auto_trains_in_bf16_where_the_device_computes_in_it(monkeypatch, asked, device, bf16_units, expected):
    """On a CPU without bf16 units, bf16 would take six times as long. A precision that was asked for stays."""
    monkeypatch.setattr(settings_module, "cpu_has_bf16", lambda: bf16_units)
    settings = TrainingSettings(precision=asked)
    assert settings.with_precision_for(device) == replace(settings, precision=expected)
