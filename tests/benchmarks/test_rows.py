"""Rows of the paper's tables: they are what they are called, and are compared on the same clips."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.comparison.animation import Given
from benchmarks.comparison.rows import Bench, Network, baselines
from benchmarks.comparison.scores import Kept, Scorer, above
from tests.benchmarks.made_up import animator
from unianimate_core.sampling import SamplingSettings


def test_the_baselines_are_what_they_are_called(unet, clips, tmp_path):
    """A comparison with a mistaken baseline would flatter the model."""
    network = Network(animator(unet), "digest", 0)
    scorer = Scorer([clip.frames for clip in clips], tmp_path, "cpu")
    rows = baselines(Bench(Kept(tmp_path), (), seed=3), network, clips, scorer)
    differences = [np.abs(clip.frames / 255.0 - clip.reference / 255.0).mean() for clip in clips]
    np.testing.assert_allclose(rows["the reference, copied"].scores["l1"], differences, rtol=1e-5)
    mistaken = replace(clips[1], poses=clips[2].poses)
    expected = scorer.row("", [network.animator.clip(clip, Given(), 4) for clip in (mistaken,)] * 3)
    assert rows["another clip's poses"].scores["psnr_star"][1] == expected.scores["psnr_star"][1]
    assert (rows["the truth through the VAE"].scores["psnr_star"] > 15).all()


def test_processes_make_the_same_videos(unet, clips, tmp_path, capsys):
    """Each its share of the clips, with the noise of the clip; what is kept already is not made again."""
    network = Network(animator(unet), "digest", 0)
    expected = Bench(Kept(tmp_path / "one"), (), seed=3).animated("row", network, clips)
    bench = Bench(Kept(tmp_path / "two"), (), seed=3, processes=2)
    first = bench.animated("row", network, clips[:1])
    made = (tmp_path / "two").iterdir().__next__().stat().st_mtime_ns
    videos = bench.animated("row", network, clips)
    assert all(np.array_equal(video, other) for video, other in zip(videos, expected, strict=True))
    assert np.array_equal(first[0], expected[0])
    assert made in {path.stat().st_mtime_ns for path in (tmp_path / "two").iterdir()}
    assert len(list((tmp_path / "two").iterdir())) == len(clips)


def test_videos_are_kept_by_all_that_they_were_made_of(tmp_path):
    made = []

    def make():
        made.append(1)
        return np.full((2, 8, 8, 3), len(made), np.uint8)

    kept = Kept(tmp_path)

    def video(*made_of):
        return kept.video(kept.path(made_of), make)

    first = video("digest", SamplingSettings(), "fp32", 7)
    assert np.array_equal(video("digest", SamplingSettings(), "fp32", 7), first)
    others = (
        ("other", SamplingSettings(), "fp32", 7),
        ("digest", SamplingSettings(steps=31), "fp32", 7),
        ("digest", SamplingSettings(), "bf16", 7),
        ("digest", SamplingSettings(), "fp32", 8),
    )
    for other in others:
        assert not np.array_equal(video(*other), first)
    assert len(made) == 5


def test_rows_are_compared_on_the_same_clips(clips, tmp_path):
    """The spread between clips is larger than that between networks, and must not hide it."""
    scorer = Scorer([clip.frames for clip in clips], tmp_path, "cpu")
    noise = np.random.default_rng(0).integers(-9, 10, size=clips[0].frames.shape)
    videos = [np.clip(clip.frames + (index + 1) * noise, 0, 255).astype(np.uint8) for index, clip in enumerate(clips)]
    better = [
        np.clip(clip.frames + (index + 1) * noise // 2, 0, 255).astype(np.uint8) for index, clip in enumerate(clips)
    ]
    gain = above(scorer.row("better", better), scorer.row("worse", videos))
    assert 4 < gain.low <= gain.value <= gain.high < 7


def test_frames_that_were_given_do_not_count(clips, tmp_path):
    perfect_but_first = [clip.frames.copy() for clip in clips]
    for video in perfect_but_first:
        video[0] = 0
    scorer = Scorer([clip.frames for clip in clips], tmp_path, "cpu", skip=1)
    assert scorer.row("", perfect_but_first).estimate("l1").value == 0
