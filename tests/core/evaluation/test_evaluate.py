"""python -m unianimate_core evaluate, from two folders to a table."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tests.core.evaluation.stand_ins import moving_square, write_i3d, write_images, write_video
from unianimate_core.__main__ import main
from unianimate_core.evaluation import fvd
from unianimate_core.evaluation.metrics import FRAME_METRICS, METRICS, psnr
from unianimate_core.evaluation.run import EvaluationSettings, evaluate

pytest.importorskip("av")
pytest.importorskip("tqdm")


@pytest.fixture
def folders(tmp_path):
    """Four videos each. The first result is exact, and each of the others is darker than the one before."""
    results, truth = tmp_path / "results", tmp_path / "truth"
    for index in range(4):
        write_images(truth / f"clip{index}", moving_square(20))
        write_images(results / f"clip{index}", moving_square(20, level=200 - 10 * index))
    return results, truth


def test_means_are_over_the_videos_and_come_with_intervals(folders):
    evaluation = evaluate(*folders)
    darker = np.array([0, 10, 20, 30])
    share = 16 * 16 / (48 * 64)
    by_video = [video.means["l1"] for video in evaluation.videos]
    assert by_video == pytest.approx(darker * share / 255, rel=1e-6)
    estimate = evaluation.estimates["l1"]
    assert estimate.value == pytest.approx(np.mean(by_video))
    assert min(by_video) < estimate.low < estimate.value < estimate.high < max(by_video)
    assert (len(evaluation.videos), evaluation.frames) == (4, 80)


def test_an_identical_video_is_counted_beside_the_mean_psnr(folders):
    estimate = evaluate(*folders).estimates["psnr"]
    others = [20 * math.log10(255 / (darker * math.sqrt(1 / 12))) for darker in (10, 20, 30)]
    assert estimate.value == pytest.approx(np.mean(others), rel=1e-6)
    assert (estimate.infinite, estimate.videos) == (1, 4)


def test_a_folder_against_itself_is_perfect(folders, capsys):
    assert main(["evaluate", str(folders[1]), str(folders[1])]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    table = {line[0]: line[2] for line in lines if line}
    assert table == {"metric": "95%", "L1": "0.0000", "PSNR": "inf", "PSNR*": "inf", "SSIM": "1.0000"}


def test_the_json_holds_every_video_and_is_valid(folders, tmp_path, capsys):
    """JSON has no infinity, and many readers refuse a file with one."""
    path = tmp_path / "report.json"
    command = ["evaluate", *map(str, folders), "--json", str(path), "--seed", "3", "--resize", "32x24"]
    assert main(command) == 0
    assert f"wrote {path}" in capsys.readouterr().out

    def refuse(constant):
        pytest.fail(f"{constant} is not JSON")

    report = json.loads(path.read_text(), parse_constant=refuse)
    assert report["settings"]["seed"] == 3
    assert report["settings"]["size"] == [32, 24]
    assert report["by_video"].keys() == {"clip0", "clip1", "clip2", "clip3"}
    assert report["by_video"]["clip0"]["psnr"] == "inf"
    assert report["by_video"]["clip3"]["frames"] == 20
    values = [video["ssim"] for video in report["by_video"].values()]
    assert report["metrics"]["ssim"]["value"] == pytest.approx(np.mean(values))


def test_the_same_seed_gives_the_same_report(folders):
    reports = [evaluate(*folders, EvaluationSettings(seed=seed)).estimates for seed in (5, 5, 6)]
    assert reports[0] == reports[1] != reports[2]


def test_long_and_short_videos_weigh_the_same(tmp_path):
    """The interval is over videos, so the mean is too."""
    for name, frames, level in (("short", 2, 200), ("long", 18, 100)):
        write_images(tmp_path / "results" / name, moving_square(frames, level=level))
        write_images(tmp_path / "truth" / name, moving_square(frames))
    evaluation = evaluate(tmp_path / "results", tmp_path / "truth")
    assert evaluation.estimates["l1"].value == pytest.approx(100 / 12 / 255 / 2, rel=1e-6)


def test_every_metric_has_the_direction_of_its_arrow(folders):
    """A darker result is worse by every metric."""
    names = tuple(name for name in METRICS if name in FRAME_METRICS and name != "psnr_published")
    videos = evaluate(*folders, EvaluationSettings(names)).videos
    for name in names:
        values = [video.means[name] for video in videos]
        assert values == sorted(values, reverse=METRICS[name].larger_is_better), name


def test_fvd_takes_whole_clips_of_sixteen_frames(folders, tmp_path, monkeypatch):
    """Proves wiring only, with a made-up network. The last 4 of 20 frames make no clip."""
    weights = tmp_path / "weights"
    weights.mkdir()
    monkeypatch.setattr(fvd, "I3D", write_i3d(weights))
    settings = EvaluationSettings(("fvd", "l1"), weights=weights, draws=20)
    estimates = evaluate(*folders, settings).estimates
    assert list(estimates) == ["fvd", "l1"]
    brightest = np.array([200, 190, 180, 170]) / 255 * 2 - 1  # of the ten answers only maximum and mean differ
    mean_shift = ((200 - 185) / 255 * 2) ** 2 * (1 + (1 / 12) ** 2)
    spread = brightest.var(ddof=1) * (1 + (1 / 12) ** 2)
    assert estimates["fvd"].value == pytest.approx(mean_shift + spread, rel=1e-4)
    assert evaluate(folders[0], folders[0], settings).estimates["fvd"].value == pytest.approx(0, abs=1e-9)


def test_fvd_refuses_videos_shorter_than_a_clip(tmp_path, monkeypatch):
    monkeypatch.setattr(fvd, "I3D", write_i3d(tmp_path))
    for folder in ("results", "truth"):
        write_images(tmp_path / folder / "a", moving_square(15))
    with pytest.raises(ValueError, match="a has 15 frames, FVD needs at least 16: leave out fvd"):
        evaluate(tmp_path / "results", tmp_path / "truth", EvaluationSettings(("fvd",), weights=tmp_path))


def test_seams_and_drift_are_measured_on_the_result(tmp_path):
    """Three segments, each 6 steps brighter than the one before. Within a segment the square moves."""
    images = moving_square(25)
    chained = [image + 6 * np.uint8(max(index - 1, 0) // 8) for index, image in enumerate(images)]
    write_images(tmp_path / "results" / "a", chained)
    write_images(tmp_path / "truth" / "a", images)
    settings = EvaluationSettings(("seam", "drift", "l1"), segment_length=9)
    estimates = evaluate(tmp_path / "results", tmp_path / "truth", settings).estimates
    assert list(estimates) == ["seam", "drift", "l1"]
    usual = 2 * 2 * 16 * 160 / (48 * 64)  # two columns of the square come and two go
    assert estimates["seam"].value == pytest.approx((6 + usual) / usual, rel=0.1)
    assert estimates["drift"].value == pytest.approx(6 / math.sqrt(2), rel=0.01)  # means move, deviations do not


def test_seams_need_the_length_of_the_segments():
    with pytest.raises(ValueError, match="seam and drift need the length of the segments: give --segment-length"):
        EvaluationSettings(("seam",))


@pytest.mark.parametrize("metric", ["lpips", "fvd"])
def test_missing_weights_are_reported_before_anything_is_measured(folders, tmp_path, capsys, metric):
    """Nothing is downloaded either."""
    assert main(["evaluate", *map(str, folders), "--metrics", "l1", metric, "--weights", str(tmp_path)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {metric.upper()} needs ")
    assert f"which is not in {tmp_path}: download it from https://" in error


def test_a_mismatched_pair_is_reported_before_anything_is_measured(folders):
    measured = []
    write_video(folders[0] / "z.mp4", moving_square(3))
    write_video(folders[1] / "z.mp4", moving_square(4))
    with pytest.raises(ValueError, match="z has 3 frames, the true video 4"):
        evaluate(*folders, progress=lambda *done: measured.append(done))
    assert not measured


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--metrics", "fid"], "'fid' is not a metric: choose from l1, psnr, psnr_star, ssim, lpips, fvd"),
        (["--resize", "256"], "the size is '256': give WIDTHxHEIGHT"),
        (["--seed", "-1"], "the seed is -1: give 0 or more"),
        (["--segment-length", "9"], "add seam and drift to --metrics, or leave out --segment-length"),
        (["--device", "gpu"], "the device 'gpu' cannot be used"),
    ],
)
def test_a_users_mistake_is_one_sentence_and_exit_code_2(folders, capsys, options, message):
    assert main(["evaluate", *map(str, folders), *options]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_two_single_videos_have_no_interval(tmp_path, capsys):
    """One video does not show how much others vary."""
    files = [write_video(tmp_path / f"{name}.mp4", moving_square(3)) for name in ("result", "truth")]
    assert main(["evaluate", *map(str, files), "--metrics", "ssim"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["SSIM", "↑", "1.0000"]


def test_psnr_is_measured_on_decoded_frames(tmp_path):
    """On the frames of the file, not on the encoder's input."""
    from unianimate_core.evaluation.folders import VideoPair, read_clips

    noisy = [np.random.default_rng(seed).integers(256, size=(48, 64, 3), dtype=np.uint8) for seed in range(3)]
    result = write_video(tmp_path / "results" / "a.mp4", noisy)
    truth = write_images(tmp_path / "truth" / "a", noisy)
    ((a, b),) = read_clips(VideoPair("a", result, truth), None, 16)
    value = evaluate(tmp_path / "results", tmp_path / "truth").estimates["psnr"].value
    assert value == pytest.approx(psnr(a, b).mean().item())
    assert 5 < value < 40
