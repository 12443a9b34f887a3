"""The harness of the paper's tables, with tiny networks of random weights: that it runs and compares what it says.

Nothing here says a word about quality.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from benchmarks import contact_sheet, drift, paper_tables, train_ablation
from benchmarks.animation import Animator, Given, Sampling
from benchmarks.codec import load_codec
from benchmarks.contact_sheet import Column, furthest_frame
from benchmarks.paper_rows import Bench, Network, baselines
from benchmarks.paper_scores import Kept, Scorer, above
from benchmarks.report import random_unet
from benchmarks.sampling_options import sampling_of
from benchmarks.separate_reference import SeparateReferenceUNet, load_network, save
from unianimate_core import mini
from unianimate_core.checkpoint import CheckpointError, to_checkpoint
from unianimate_core.checkpoint.loading import metadata_of
from unianimate_core.config import ModelConfig
from unianimate_core.diffusion import guided
from unianimate_core.long_video import split_segments
from unianimate_core.tiny_vae import TinyVAE, save_tiny_vae
from unianimate_core.training.characters import draw_clip

TINY = ModelConfig(
    dim=32,
    multipliers=(1, 2),
    residual_blocks=1,
    attention_levels=(True, False),
    head_dim=16,
    stem_width=32,
    context_dim=32,
    image_tokens=4,
)
SIZE = {"height": 64, "width": 64}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def unet():
    return random_unet(TINY, torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def separate():
    torch.manual_seed(0)
    return SeparateReferenceUNet(TINY).requires_grad_(False).eval()


@pytest.fixture(scope="module")
def checkpoints(unet, separate, tmp_path_factory):
    """Of each kind that the tables take, those that are trained alike where their training leaves them."""
    folder = tmp_path_factory.mktemp("checkpoints")
    tensors = to_checkpoint(unet.state_dict(), TINY)
    save_file(tensors, folder / "unified.safetensors", metadata=metadata_of(TINY))
    save(separate, folder / "separate.safetensors")
    other = {name: tensor * 0.9 for name, tensor in tensors.items()}
    for kind in (train_ablation.UNIFIED, train_ablation.WITHOUT_POSE, train_ablation.SEPARATE):
        path = train_ablation.result_of(folder, kind)
        path.parent.mkdir()
        (path.parent / train_ablation.FACTS).write_text('{"steps": 7}')
        if kind == train_ablation.SEPARATE:
            save(separate, path)
        else:
            save_file(other, path, metadata=metadata_of(TINY))
    return folder


@pytest.fixture(scope="module")
def clips():
    return [draw_clip(seed, 5, **SIZE, split="test") for seed in range(3)]


def animator(unet, **sampling) -> Animator:
    return Animator(unet, load_codec(None, "cpu"), Sampling(**{"steps": 2, "guidance": 2.0} | sampling))


def test_the_report_holds_every_table_and_says_what_was_not_measured(checkpoints, tmp_path, capsys):
    """From checkpoints to the written report, and again from the kept videos to the same one."""
    command = f"""
        --transformer {checkpoints}/unified.safetensors --mamba {checkpoints}/none --ablations {checkpoints}
        --vae linear --clips 2 --frames 4
        --width 64 --height 64 --ablation-width 64 --ablation-height 128 --long-clips 2 --segments 3 --steps 2
        --precision bf16 --processes 2 --device cpu --weights {tmp_path} --keep {tmp_path}/kept
        --output {tmp_path}/report.md
    """.split()
    paper_tables.main(command)
    report = (tmp_path / "report.md").read_text()
    titles = re.findall(r"^## (.*)$", report, re.MULTILINE)
    assert titles == [
        "Bars",
        "Baselines",
        "Table 4: ablations",
        "Table 5: temporal modelling",
        "First-frame conditioning",
        "Section 5: long video",
    ]
    assert report.count("Not measured, for want of a checkpoint: temporal Mamba.") == 2, "shipped, and trained alike"
    assert report.count("Trained alike, at 64x128:") == 2
    assert "trained alike for 7 steps: UniAnimate, " in report
    assert "DDIM, 2 steps, without guidance, from pure noise, in bf16 mixed precision, for every network" in report
    assert "2 videos of 10 frames is sampled as 3 segments that share a frame, 12 frames in all" in report
    assert "files that were not at hand: vgg16-397923af.pth, i3d_torchscript.pt" in report
    for row in ("the reference, copied", "another clip's poses", "UniAnimate w/o unified VDM", "overlapping windows"):
        assert re.search(rf"^\| {row} \| \S+ \[.*\]", report, re.MULTILINE), f"no interval for {row}"

    heights = Counter(np.load(path)["frames"].shape[1] for path in (tmp_path / "kept").iterdir())
    assert heights == {64: 2 * 6, 128: 2 * 3}, "shipped: own and wrong poses, VAE, first frame, chain, windows"

    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()}
    paper_tables.main(command)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()} == kept
    assert (tmp_path / "report.md").read_text() == report


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


def test_the_world_of_training_can_be_told():
    """A network of fewer motions is measured by those."""
    options = paper_tables.parse(["--world", '{"motions": ["wave"], "seated_share": 0}'])
    assert list(options.world.motions) == ["wave"]
    assert options.world.seated_share == 0
    assert paper_tables.parse([]).world == mini.WORLD


def test_the_mini_is_sampled_as_by_the_demo_unless_told_otherwise():
    """What is measured is what a user sees."""
    assert sampling_of(paper_tables.parse([])) == Sampling(mini.STEPS, mini.GUIDANCE, noise_prior=False)
    options = ["--steps", "30", "--guidance", "2.5", "--noise-prior"]
    assert sampling_of(paper_tables.parse(options)) == Sampling()


def test_a_folder_without_trained_networks_is_refused(checkpoints, tmp_path):
    """A mistyped path must not read as networks that have yet to be trained."""
    with pytest.raises(ValueError, match=r"holds no network of benchmarks\.train_ablation"):
        paper_tables.main(
            f"--transformer {checkpoints}/unified.safetensors --ablations {tmp_path} --vae linear".split()
        )


@pytest.mark.parametrize("parse", [paper_tables.parse, drift.parse], ids=["paper_tables", "drift"])
@pytest.mark.parametrize(
    ("device", "system", "message"),
    [("cuda", "linux", "is for a CPU, the device is cuda"), ("cpu", "darwin", "is for Linux, this is darwin")],
)
def test_processes_are_refused_where_they_cannot_be_forked(parse, device, system, message, monkeypatch, capsys):
    """One that was forked cannot use what its parent had begun on a GPU; macOS and Windows do not fork."""
    monkeypatch.setattr("sys.platform", system)
    with pytest.raises(SystemExit):
        parse(["--processes", "2", "--device", device])
    assert f"--processes 2 {message}" in capsys.readouterr().err


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


def test_mixed_precision_changes_little(unet, clips):
    """It is for speed: the same video but for rounding."""
    exact = animator(unet).clip(clips[0], Given(), 0).astype(float)
    rounded = animator(unet, precision="bf16").clip(clips[0], Given(), 0).astype(float)
    assert 0 < np.abs(rounded - exact).mean() < 4


def test_videos_are_kept_by_all_that_they_were_made_of(tmp_path):
    made = []

    def make():
        made.append(1)
        return np.full((2, 8, 8, 3), len(made), np.uint8)

    kept = Kept(tmp_path)

    def video(*made_of):
        return kept.video(kept.path(made_of), make)

    first = video("digest", Sampling(), 7)
    assert np.array_equal(video("digest", Sampling(), 7), first)
    others = (
        ("other", Sampling(), 7),
        ("digest", Sampling(steps=31), 7),
        ("digest", Sampling(precision="bf16"), 7),
        ("digest", Sampling(), 8),
    )
    for other in others:
        assert not np.array_equal(video(*other), first)
    assert len(made) == 5


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
        "noise prior": animator(unet, noise_prior=False).clip(clip, Given(), 0),
        "guidance": animator(unet, guidance=1.0).clip(clip, Given(), 0),
    }
    for name, frames in changed.items():
        assert not np.array_equal(frames, usual), name


def test_a_vae_of_the_drawn_world_is_taken(unet, clips, tmp_path):
    """It decodes to pictures of full size, which are what is scored."""
    save_tiny_vae(TinyVAE().state_dict(), tmp_path / "vae.safetensors", {})
    own = Animator(unet, load_codec(tmp_path / "vae.safetensors", "cpu"), Sampling(2))
    assert own.clip(clips[0], Given(), 0).shape == own.reconstructed(clips[0]).shape == clips[0].frames.shape


def test_long_videos_have_each_frame_once(unet):
    clip = draw_clip(0, 10, **SIZE, split="test")
    own = animator(unet)
    chained = own.chained(clip, split_segments(10, 4), seed=0)
    windowed = own.windowed(clip, 4, 1, seed=0)
    assert chained.shape == windowed.shape == clip.frames.shape
    assert not np.array_equal(chained, windowed)


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


def test_a_separate_reference_network_starts_without_effect_and_can_learn_one(separate):
    """Its last layers are zero; what they are multiplied with is the reference."""
    x, text = torch.randn(1, 4, 3, 8, 8), torch.zeros(1, 77, TINY.context_dim)
    reference, pose = torch.randn(1, 4, 1, 8, 8), torch.rand(1, 3, 1, 64, 64)
    t = torch.tensor([500])
    without = separate(x, t, text=text)
    assert torch.equal(separate(x, t, text=text, reference_latent=reference, reference_pose=pose), without)

    trained = SeparateReferenceUNet(TINY).eval()
    trained(x, t, text=text, reference_latent=reference).square().mean().backward()
    assert all(
        out.weight.grad is not None and out.weight.grad.abs().sum() > 0 for out in trained.reference_network.outs
    )
    with torch.no_grad():
        for out in trained.reference_network.outs:
            out.weight.normal_(0, 0.1)
        results = [
            trained(x, t, text=text, reference_latent=r, reference_pose=p)
            for r, p in ((reference, None), (reference, pose), (2 * reference, pose))
        ]
    assert not torch.allclose(results[0], results[1])
    assert not torch.allclose(results[1], results[2])


def test_a_separate_reference_network_is_sampled_as_the_unified_one(separate, checkpoints):
    """The same guidance and sampler take it, and it is what was saved."""
    loaded = load_network(checkpoints / "separate.safetensors")
    x, text = torch.randn(1, 4, 3, 8, 8), torch.zeros(1, 77, TINY.context_dim)
    conditions = {"reference_latent": torch.randn(1, 4, 1, 8, 8), "pose": torch.rand(1, 3, 3, 64, 64)}
    v = guided(loaded, conditions, text, 2.0)(x, 500)
    torch.testing.assert_close(v, guided(separate, conditions, text, 2.0)(x, 500), rtol=1e-4, atol=1e-4)
    assert type(load_network(checkpoints / "unified.safetensors")) is not SeparateReferenceUNet


def test_a_separate_reference_network_of_other_tensors_is_refused(separate, tmp_path):
    from benchmarks.separate_reference import METADATA_KEY
    from unianimate_core.checkpoint.files import read

    save(separate, tmp_path / "whole.safetensors")
    tensors, metadata = read(tmp_path / "whole.safetensors")
    tensors.pop("head.conv.weight")
    save_file(tensors, tmp_path / "part.safetensors", metadata={METADATA_KEY: metadata[METADATA_KEY]})
    with pytest.raises(CheckpointError, match=r"part\.safetensors does not fit its own configuration"):
        load_network(tmp_path / "part.safetensors")


def test_the_contact_sheet_shows_every_character_in_four_rows(checkpoints, tmp_path, capsys):
    path = tmp_path / "sheet.png"
    contact_sheet.main(
        f"--network {checkpoints}/unified.safetensors --characters 3 --frames 4 --width 64 --height 64 --steps 2 "
        f"--vae linear --world {{}} --device cpu --keep {tmp_path} --output {path}".split()
    )
    assert f"wrote {path}" in capsys.readouterr().out
    sheet = cv2.imread(str(path))[..., ::-1]
    clips = [draw_clip(seed, 4, **SIZE, split="test") for seed in range(3)]
    for index, clip in enumerate(clips):
        left = contact_sheet.LABEL_WIDTH + index * (64 + contact_sheet.GAP)
        rows = [sheet[4 + row * 68 : 68 + row * 68, left : left + 64] for row in range(4)]
        assert np.array_equal(rows[0], clip.reference)
        assert (rows[1] == 0).mean() > 0.5, "a drawn pose is mostly black"
        assert any(np.array_equal(rows[3], frame) for frame in clip.frames)


def test_the_contact_sheet_shows_the_frame_that_moves_most(clips):
    """Not the one that came out best."""
    clip = clips[0]
    far = [pose.moved(lambda points: points + 0.3) for pose in clip.poses[:1]]
    assert furthest_frame(clip.reference_pose, [clip.reference_pose, *far, clip.reference_pose]) == 1


def test_rows_of_the_sheet_do_not_overlap():
    pictures = [np.full((10, 8, 3), level, np.uint8) for level in (10, 20, 30, 40)]
    sheet = contact_sheet.contact_sheet([Column(*pictures)] * 2)
    assert sheet.shape == (4 * 14 + 4, contact_sheet.LABEL_WIDTH + 2 * 12, 3)
    for level in (10, 20, 30, 40):
        assert (sheet[:, contact_sheet.LABEL_WIDTH :] == level).all(-1).sum() == 2 * 80
