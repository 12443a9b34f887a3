"""Videos of drawn clips by networks of random weights: wiring, never quality."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.comparison.animation import ClipAnimator, Given
from benchmarks.comparison.codec import load_codec
from tests.benchmarks.made_up import SIZE, animator
from unianimate_core.drawn_world.characters import draw_clip
from unianimate_core.sampling import SamplingSettings
from unianimate_core.vae.tiny import TinyVAE, save_tiny_vae


def test_each_condition_reaches_the_network(unet, clips):
    """Rows of a table differ by what they say they differ by."""
    clip, own = clips[0], animator(unet)
    usual = own.clip(clip, Given(), 0)
    assert usual.shape == clip.frames.shape
    assert np.array_equal(usual, own.clip(clip, Given(), 0))
    changed = {
        "reference pose": own.clip(clip, Given(reference_pose=False), 0),
        "first frame": own.clip(clip, Given(first_frame=True), 0),
        "poses": own.clip(replace(clip, poses=clips[1].poses), Given(), 0),
        "reference": own.clip(replace(clip, reference=clips[1].reference), Given(), 0),
        "noise": own.clip(clip, Given(), 1),
        "noise prior": animator(unet, noise_prior=0).clip(clip, Given(), 0),
        "guidance": animator(unet, guidance_scale=1.0).clip(clip, Given(), 0),
    }
    for name, frames in changed.items():
        assert not np.array_equal(frames, usual), name


def test_mixed_precision_changes_little(unet, clips):
    """It is for speed: the same video but for rounding."""
    exact = animator(unet).clip(clips[0], Given(), 0).astype(float)
    rounded = animator(unet, precision="bf16").clip(clips[0], Given(), 0).astype(float)
    assert 0 < np.abs(rounded - exact).mean() < 4


def test_a_vae_of_the_drawn_world_is_taken(unet, clips, tmp_path):
    """It decodes to images of full size, which are what is scored."""
    save_tiny_vae(TinyVAE().state_dict(), tmp_path / "vae.safetensors", {})
    own = ClipAnimator(unet, load_codec(tmp_path / "vae.safetensors", "cpu"), SamplingSettings(steps=2))
    assert own.clip(clips[0], Given(), 0).shape == own.reconstructed(clips[0]).shape == clips[0].frames.shape


def test_long_videos_have_each_frame_once(unet):
    clip = draw_clip(0, 10, **SIZE, split="test")
    own = animator(unet)
    chained = own.chained(clip, 4, seed=0)
    windowed = own.windowed(clip, 4, 1, seed=0)
    assert chained.shape == windowed.shape == clip.frames.shape
    assert not np.array_equal(chained, windowed)
