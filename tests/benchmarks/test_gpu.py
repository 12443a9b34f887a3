"""The measurements on a GPU: that nothing measured is lost, and that every measurement runs, on a small network."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from torch import nn

from benchmarks import gpu
from benchmarks.gpu_measurements import SECTIONS, Bench, Measurement, Section
from benchmarks.gpu_measurements.measurement import costs
from benchmarks.gpu_measurements.network import ChannelsLastGroupNorm
from benchmarks.gpu_measurements.records import key, shown
from tests.support import ROOT

BENCH = Bench(torch.device("cpu"), tiny=True)
OPTIONAL = (
    "accelerate",
    "av",
    "cv2",
    "diffusers",
    "matplotlib",
    "open_clip",
    "peft",
    "PIL",
    "tensorboard",
    "torchvision",
)


class Run:
    """Runs the command with measurements that a test makes up; see `run`."""

    def __init__(self, folder, monkeypatch):
        self.folder, self.monkeypatch = folder, monkeypatch
        self.calls: list[str] = []

    def __call__(self, *measurements: Measurement, options: str = "", minutes: float = 60) -> int:
        self.calls.clear()
        self.monkeypatch.setattr(gpu, "SECTIONS", (Section("Section", "A note.", measurements),))
        return gpu.main([str(minutes), "--device", "cpu", "--tiny", "--results", str(self.folder), *options.split()])

    def measurement(self, name: str, result: object = 1.5, *, seconds: float = 0) -> Measurement:
        """One that notes its call. result: its value, an exception to raise, or a function to call."""

        def measure(bench: Bench):
            self.calls.append(name)
            if isinstance(result, BaseException):
                raise result
            return [{"variant": "a", "value": result() if callable(result) else result}]

        return Measurement(name, measure, host_seconds=seconds, card_seconds=0)

    @property
    def report(self) -> str:
        return (self.folder / "gpu_tiny_cpu.md").read_text()

    @property
    def states(self) -> dict[str, str]:
        records = json.loads((self.folder / "gpu_tiny_cpu.json").read_text())["records"]
        return {name.removeprefix("Section: "): record["state"] for name, record in records.items()}


@pytest.fixture
def run(tmp_path, monkeypatch):
    return Run(tmp_path, monkeypatch)


def one_of_each_kind() -> tuple[Section, ...]:
    """The sections with the first measurement of each function."""
    seen = set()

    def is_new(measurement: Measurement) -> bool:
        function = getattr(measurement.measure, "func", measurement.measure)
        return not (function in seen or seen.add(function))

    return tuple(replace(section, measurements=tuple(filter(is_new, section.measurements))) for section in SECTIONS)


@pytest.mark.slow
def test_every_kind_of_measurement_runs(tmp_path, monkeypatch):
    """On a GPU that is lent for minutes, nothing may fail for a mistake that a CPU can show."""
    sections = one_of_each_kind()
    monkeypatch.setattr(gpu, "SECTIONS", sections)
    monkeypatch.setattr("benchmarks.gpu_measurements.measurement.matmul_ceiling", lambda *_: 1e12)
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)  # Dynamo takes most of a minute
    assert gpu.main(["60", "--device", "cpu", "--tiny", "--results", str(tmp_path)]) == 0
    records = json.loads((tmp_path / "gpu_tiny_cpu.json").read_text())["records"]
    assert {name: record["note"] for name, record in records.items() if record["state"] != "measured"} == {}
    report = (tmp_path / "gpu_tiny_cpu.md").read_text()
    for section in sections:
        assert f"## {section.title}\n" in report
        for measurement in section.measurements:
            assert f"| {measurement.name} |" in report
            assert records[key(section, measurement)]["rows"]


def test_no_two_measurements_have_one_name():
    names = [key(section, measurement) for section in SECTIONS for measurement in section.measurements]
    assert len(set(names)) == len(names)


def test_a_stop_keeps_what_was_measured_and_the_same_command_continues(run):
    first, third = run.measurement("first"), run.measurement("third", 3)
    assert run(first, run.measurement("second", KeyboardInterrupt()), third) == gpu.STOPPED
    assert run.states == {"first": "measured"}
    assert "| first | a | 1.5 |" in run.report
    assert "- second: not measured yet" in run.report

    assert run(first, run.measurement("second", 2), third) == 0
    assert run.calls == ["second", "third"]
    assert [f"| {row} |" in run.report for row in ("first | a | 1.5", "second | a | 2", "third | a | 3")] == [True] * 3

    assert run(first, third) == 0
    assert run.calls == []
    assert run(first, third, options="--again") == 0
    assert run.calls == ["first", "third"]


def test_the_report_is_written_after_each_measurement(run):
    """A kill cannot be caught, so what is on the disk must be whole at any moment."""

    def second() -> float:
        assert "| first | a | 1.5 |" in run.report
        assert run.states == {"first": "measured"}
        return 2.0

    assert run(run.measurement("first"), run.measurement("second", second)) == 0
    assert run.states == {"first": "measured", "second": "measured"}


@pytest.mark.parametrize(
    ("problem", "state", "line"),
    [
        (ImportError("a LoRA needs peft"), "missing package", "skipped: a LoRA needs peft"),
        (torch.OutOfMemoryError("CUDA out of memory."), "out of memory", "out of memory on "),
        (RuntimeError("no kernel image\nis there"), "failed", "failed: RuntimeError: no kernel image"),
    ],
)
def test_what_cannot_be_measured_is_a_line_of_the_report(run, problem, state, line):
    assert run(run.measurement("first", problem), run.measurement("second")) == 0
    assert run.states == {"first": state, "second": "measured"}
    assert f"- first: {line}" in run.report


def test_only_a_card_without_enough_memory_is_not_asked_again(run):
    """A package can be installed, and a failure may have come from elsewhere: it is tried again, after what is new."""
    problems = {"failed": RuntimeError(), "missing": ImportError(), "memory": torch.OutOfMemoryError()}
    entries = [run.measurement(name, problem) for name, problem in problems.items()]
    run(*entries)
    run(*entries, run.measurement("new"))
    assert run.calls == ["missing", "new", "failed"]


def test_a_variant_without_enough_memory_costs_no_other_variant():
    def large() -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    taken = costs(BENCH, {"large": large, "small": lambda: None})
    assert taken["large"] is None
    assert taken["small"] is not None


def test_what_takes_longer_than_is_left_is_skipped_for_what_is_shorter(run):
    long, short = run.measurement("long", seconds=90), run.measurement("short", seconds=1)
    assert run(long, short, minutes=1) == 0
    assert run.states == {"long": "no time", "short": "measured"}
    assert "- long: skipped, since it takes about 90 s and " in run.report
    run(long, short)
    assert run.calls == ["long"]


@pytest.mark.parametrize(
    ("left", "limit", "state", "note"),
    [(0.1, 9.0, "no time", "stopped, since the time was over"), (9.0, 0.1, "failed", "stopped after 0 s")],
)
def test_a_measurement_that_hangs_is_stopped(run, left, limit, state, note):
    """So that it costs those after it only a bounded time; nothing within it can catch that."""

    def hang() -> float:
        try:
            time.sleep(20)
        except Exception:
            return 0.0
        return 1.0

    record = gpu.measured(BENCH, run.measurement("hanging", hang), left, limit)
    assert (record.state, record.note) == (state, note)
    assert record.took < 10


def test_what_other_code_measured_stays_marked_and_is_measured_again_last(run, monkeypatch):
    """A card is lent for minutes: a change must not throw away what was measured before it."""
    old, new = run.measurement("old", 1), run.measurement("new", 2)
    run(old)
    monkeypatch.setattr("benchmarks.gpu_measurements.records.sources_hash", lambda: "changed")
    run(run.measurement("old", KeyboardInterrupt()), new)
    assert run.calls == ["new", "old"]
    assert "| old | a | 1 |" in run.report
    assert "- old: measured before, at commit " in run.report

    run(run.measurement("old", RuntimeError("broken now")), new)
    assert "| old | a | 1 |" in run.report
    assert "- old: failed: RuntimeError: broken now; measured before, at commit " in run.report

    run(run.measurement("old", 5), new)
    assert "| old | a | 5 |" in run.report
    assert "measured before" not in run.report


def test_a_gpu_that_stopped_working_ends_the_command(run, monkeypatch, capsys):
    """All that followed would fail; another process starts afresh."""
    monkeypatch.setattr(gpu, "works", lambda device: False)
    assert run(run.measurement("first", RuntimeError("illegal memory access")), run.measurement("second")) == gpu.BROKEN
    assert run.states == {"first": "failed"}
    assert "repeat the command" in capsys.readouterr().err


def test_sections_are_chosen_by_words(run):
    assert run(run.measurement("first"), options="--only SECT") == 0
    assert run.calls == ["first"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("5 --device cpu", "--device cpu takes hours for the released size: add --tiny"),
        ("0", "MINUTES is 0: give a number above 0"),
        ("5 --only nothing", "--only nothing matches no section: use words of One guided step; "),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message, capsys):
    with pytest.raises(SystemExit):
        gpu.main(options.split())
    assert message in capsys.readouterr().err


def test_without_a_gpu_it_says_so_and_ends(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main(["5", "--results", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "finds no GPU here" in line
    assert not list(tmp_path.iterdir())


def test_a_file_of_another_kind_is_kept(run, capsys):
    path = run.folder / "gpu_tiny_cpu.json"
    path.write_text("[]")
    assert run(run.measurement("first")) == gpu.BROKEN
    assert "is no record of this command" in capsys.readouterr().err
    assert path.read_text() == "[]"


def test_it_needs_no_optional_package():
    """Where a GPU is lent nothing can be downloaded: whatever is missing costs its own measurements only."""
    code = f"""
import sys
for name in {OPTIONAL}:
    sys.modules[name] = None  # makes its import fail
import benchmarks.gpu
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.parametrize("shape", [(3, 64, 6, 4), (1, 64, 3, 24)])
def test_the_group_norm_in_channels_last_is_group_norm(shape):
    norm, own = nn.GroupNorm(32, 64), ChannelsLastGroupNorm(32, 64)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    own.load_state_dict(norm.state_dict())
    x = (3 * torch.randn(shape) + 1).contiguous(memory_format=torch.channels_last)
    result = own(x)
    assert result.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(result, norm(x))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([3.0, 1.0, 2.0], "2 (1 to 3)"),
        ([0.12345], "0.123"),
        (1234.56, "1,235"),
        (0.0, "0"),
        ("text", "text"),
        (7, "7"),
        (math.nan, "nan"),
    ],
)
def test_numbers_have_three_digits_and_several_a_range(value, text):
    assert shown(value) == text
