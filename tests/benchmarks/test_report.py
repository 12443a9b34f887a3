"""The report of the paper's tables, from checkpoints of random weights to the file, and what its options refuse."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from benchmarks import drift, paper_tables
from benchmarks.comparison.options import settings_of
from benchmarks.comparison.scores import Row, Scorer
from unianimate_core import mini
from unianimate_core.sampling import SamplingSettings


@pytest.mark.slow
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


def test_the_introduction_speaks_only_of_what_is_in_the_report(clips, tmp_path):
    """Without ablations nothing was trained alike; where long videos are fewer, it says why."""
    scorer = Scorer([clip.frames for clip in clips], tmp_path, "cpu")
    alone = paper_tables.introduction(paper_tables.parse([]), scorer)
    assert "trained alike" not in alone
    assert "5 long videos of 10 segments, fewer because each takes at least the work of 20 clips" in alone
    whole = paper_tables.introduction(paper_tables.parse(["--ablations", "x", "--long-clips", "50"]), scorer)
    assert "trained alike" in whole
    assert "fewer" not in whole


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([6, 7, 8], "holds, and so does the whole interval"),
        ([3, 7, 8], "holds; the interval crosses it"),
        ([3, 4, 7], "**does not hold**; the interval crosses it"),
        ([2, 3, 4], "**does not hold**"),
        ([6], "holds"),
    ],
)
def test_a_bar_is_judged_by_the_mean_and_by_the_whole_interval(values, verdict):
    """A mean beyond the bar whose interval crosses it could be chance."""

    def rows(gains, losses):
        psnr = {
            paper_tables.UNIFIED: gains,
            paper_tables.COPY: np.zeros(len(gains)),
            paper_tables.WRONG: np.zeros(len(gains)),
            paper_tables.MAMBA: losses,
        }
        return {name: Row(name, {"psnr_star": np.asarray(own, float)}) for name, own in psnr.items()}

    chain = Row("chain", {"mean jump": np.array([1.0, 1.6])})
    both = rows(values, np.asarray(values) - 2)
    copied, mistaken, below, jump = paper_tables.verdicts(both, both[paper_tables.MAMBA], chain).splitlines()
    assert copied.endswith(f"asked for is at least 5.0: {verdict}")
    assert mistaken.endswith(f": {verdict}")
    assert below.startswith("- dB of Mamba below Transformer: 2.00")
    assert ": **does not hold**" in below
    assert jump.endswith("asked for is at most 1.5: holds; the interval crosses it")


def test_the_world_of_training_can_be_told():
    """A network of fewer motions is measured by those."""
    options = paper_tables.parse(["--world", '{"motions": ["wave"], "seated_share": 0}'])
    assert list(options.world.motions) == ["wave"]
    assert options.world.seated_share == 0
    assert paper_tables.parse([]).world == mini.WORLD


def test_the_mini_is_sampled_as_by_the_demo_unless_told_otherwise():
    """What is measured is what a user sees."""
    assert settings_of(paper_tables.parse([])) == mini.SETTINGS
    options = ["--steps", "30", "--guidance-scale", "2.5", "--noise-prior"]
    assert settings_of(paper_tables.parse(options)) == SamplingSettings()


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
