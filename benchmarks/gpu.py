"""Measure on a GPU, most valuable first, what has not been measured yet on this card.

    python -m benchmarks.gpu 15                               for at most 15 minutes
    python -m benchmarks.gpu 15 --only scan temporal          only sections whose titles hold one of these words
    python -m benchmarks.gpu 5 --tiny                         everything on a small network, to see that it runs
    python -m benchmarks.gpu 5 --tiny --device cpu            the same without a GPU

After each measurement results/gpu_<card>.md and .json are written anew, so a stop of any kind keeps what is done, and
the same command continues. What was measured with other code or versions stays in the report, marked, and is measured
again after everything new. It runs with torch, numpy, safetensors, einops and tqdm; what needs more is skipped.
"""

from __future__ import annotations

import argparse
import gc
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from unianimate_core.storage.atomic import NoRoom

from .gpu_measurements import SECTIONS, Bench, Measurement, Section
from .gpu_measurements.measurement import OUT_OF_MEMORY
from .gpu_measurements.records import FAILED, MEASURED, MISSING, NO_TIME, Record, Records
from .report import RESULTS, hardware

H100_FLOPS = 600e12  # of a large matrix product in fp16: estimates are of such a card
NO_GPU, STOPPED, BROKEN = 2, 130, 1  # exit statuses
Entry = tuple[Section, Measurement]


class OverTime(BaseException):
    """A measurement takes longer than it may. No Exception, so that nothing within the measurement catches it."""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("minutes", type=float, metavar="MINUTES", help="how long it may take in all")
    parser.add_argument("--again", action="store_true", help="also measure again what is measured")
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="sections whose titles hold one of these")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu needs --tiny (default: cuda)")
    parser.add_argument("--tiny", action="store_true", help="a small network and clips, to try the program")
    parser.add_argument("--results", type=Path, help="folder of the reports (default: benchmarks/results; tiny: build)")
    options = parser.parse_args(arguments)
    options.results = options.results or (Path("build") if options.tiny else RESULTS)
    if not options.minutes > 0:
        parser.error(f"MINUTES is {options.minutes:g}: give a number above 0")
    if options.device == "cpu" and not options.tiny:
        parser.error("--device cpu takes hours for the released size: add --tiny")
    if not chosen(options.only):
        titles = "; ".join(section.title for section in SECTIONS)
        parser.error(f"--only {' '.join(options.only)} matches no section: use words of {titles}")
    return options


def chosen(words: Sequence[str]) -> list[Section]:
    """Sections whose titles hold one of the words, or all."""
    return [
        section for section in SECTIONS if not words or any(word.lower() in section.title.lower() for word in words)
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    ends = time.monotonic() + 60 * (options := parse(arguments)).minutes
    if options.device == "cuda" and not torch.cuda.is_available():
        print(
            f"PyTorch {torch.__version__} finds no GPU here: run this where there is one, "
            "or try the program by --device cpu --tiny",
            file=sys.stderr,
        )
        return NO_GPU
    bench = Bench(torch.device(options.device), options.tiny)
    try:
        records = Records(options.results, bench, SECTIONS)
        return measure_all(bench, records, queue(records, chosen(options.only), again=options.again), ends)
    except (ValueError, NoRoom) as error:
        print(error, file=sys.stderr)
        return BROKEN


def queue(records: Records, sections: Sequence[Section], *, again: bool) -> list[Entry]:
    """What is to be measured, in order."""
    everything = [(section, measurement) for section in sections for measurement in section.measurements]
    if again:
        return everything
    ranked = [(records.rank(*entry), entry) for entry in everything]
    return [entry for rank, entry in sorted(ranked, key=lambda pair: pair[0] or 0) if rank is not None]


def measure_all(bench: Bench, records: Records, entries: Sequence[Entry], ends: float) -> int:
    """Measure until the time is over; the exit status."""
    print(f"{hardware(bench.device)}: {len(entries)} to measure, report in {records.path.with_suffix('.md')}")
    records.write()
    try:
        slowness = 0.0 if bench.tiny else max(1.0, H100_FLOPS / bench.ceiling(torch.float16))
        for number, (section, measurement) in enumerate(entries, start=1):
            left, estimate = ends - time.monotonic(), measurement.estimate(slowness)
            label = f"[{number} of {len(entries)}] {section.title}: {measurement.name}"
            if left < estimate:
                note = f"skipped, since it takes about {estimate:.0f} s and {max(left, 0):.0f} s were left"
                records.skip(section, measurement, note)
                print(f"{label}: {note}", flush=True)
                continue
            print(f"{label}: about {estimate:.0f} s", flush=True)
            record = measured(bench, measurement, left, 3 * estimate + 30)
            records.keep(section, measurement, replace(record, **records.origin))
            print(f"    {record.state} in {record.took:.1f} s. {record.note}", flush=True)
            if not works(bench.device):
                print("the GPU stopped working: repeat the command, which continues", file=sys.stderr)
                return BROKEN
    except KeyboardInterrupt:
        print("stopped: what was measured is kept, and the same command continues", file=sys.stderr)
        return STOPPED
    return 0


def measured(bench: Bench, measurement: Measurement, left: float, limit: float) -> Record:
    """The outcome of a measurement, which may take neither longer than the time left nor than its own limit."""
    started = time.monotonic()
    record = Record(FAILED, "")
    try:
        with time_limit(min(left, limit)):
            record = Record(MEASURED, "", measurement.measure(bench))
    except OverTime:
        over = left < limit
        note = "stopped, since the time was over" if over else f"stopped after {limit:.0f} s"
        record = Record(NO_TIME if over else FAILED, note)
    except ImportError as error:
        record = Record(MISSING, f"skipped: {one_line(error)}")
    except torch.OutOfMemoryError:
        record = Record(OUT_OF_MEMORY, f"{OUT_OF_MEMORY} on {hardware(bench.device)}")
    except Exception as error:  # of any kind: one measurement must not cost those after it
        traceback.print_exc()
        record = Record(FAILED, f"failed: {type(error).__name__}: {one_line(error)}")
    gc.collect()
    return replace(record, took=time.monotonic() - started)


def one_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "").replace("|", "/")[:300]


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises OverTime in the block after so many seconds; no limit where the system has no such signal."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise OverTime

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def works(device: torch.device) -> bool:
    """Whether the device still computes; a failed kernel may have ended that. Frees unused memory."""
    if device.type != "cuda":
        return True
    try:
        torch.cuda.synchronize(device)
        torch.cuda.empty_cache()
    except RuntimeError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
