"""What was measured on one card, kept whole after every measurement: all numbers as JSON, and the report."""

from __future__ import annotations

import hashlib
import json
import re
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch

from unianimate_core.storage.atomic import replacing

from .. import report
from .measurement import OUT_OF_MEMORY, TRIAL_SIZE, Bench, Measurement, Row, Section, Value

ROOT = Path(__file__).resolve().parents[2]
MEASURED, FAILED, MISSING, NO_TIME = "measured", "failed", "missing package", "no time"
FINAL = {MEASURED, OUT_OF_MEMORY}
"""States of a measurement that need no second try with the same code and versions."""


@dataclass(frozen=True)
class Record:
    """The outcome of one measurement.

    note: why there are no rows, or no newer ones; took: seconds. versions, commit, sources: what it ran with; sources
    is a hash of the code, which serves where git is absent or files were changed.
    """

    state: str
    note: str
    rows: list[Row] = field(default_factory=list)
    took: float = 0.0
    versions: str = ""
    commit: str = ""
    sources: str = ""


class Records:
    """The outcomes on one card, read from and written to gpu_<card>.json, and gpu_<card>.md beside it."""

    def __init__(self, folder: Path, bench: Bench, sections: Sequence[Section]):
        """Raises ValueError if the file is no record of this command."""
        self.bench, self.sections = bench, sections
        self.path = folder / f"gpu_{card_name(bench)}.json"
        self.origin = {"versions": report.versions(bench.device), "commit": commit(), "sources": sources_hash()}
        self.records = self._read()

    def _read(self) -> dict[str, Record]:
        if not self.path.exists():
            return {}
        try:
            return {name: Record(**record) for name, record in json.loads(self.path.read_text())["records"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{self.path} is no record of this command ({error}): move it away") from error

    def rank(self, section: Section, measurement: Measurement) -> int | None:
        """When to measure: 0 is first, and None is not at all.

        0: nothing is kept of it. 1: what is kept was measured with other code or versions. 2: it failed.
        """
        record = self.records.get(key(section, measurement))
        if record is None or record.state in (MISSING, NO_TIME):
            return 0
        if not self._is_current(record):
            return 0 if record.state == FAILED else 1
        return None if record.state in FINAL else 2

    def _is_current(self, record: Record) -> bool:
        return all(getattr(record, name) == self.origin[name] for name in ("versions", "sources"))

    def keep(self, section: Section, measurement: Measurement, record: Record) -> None:
        """Add a record and write both files. What was measured stays when a new try fails. Raises OSError."""
        before = self.records.get(key(section, measurement))
        if before is not None and before.state in FINAL and record.state not in FINAL:
            record = replace(before, note=record.note)
        self.records[key(section, measurement)] = record
        self.write()

    def skip(self, section: Section, measurement: Measurement, note: str) -> None:
        """Note that there was no time for it, unless a try of it is kept."""
        before = self.records.get(key(section, measurement))
        if before is None or before.state == NO_TIME:
            self.keep(section, measurement, Record(NO_TIME, note))

    def write(self) -> None:
        content = {
            "hardware": report.hardware(self.bench.device),
            **self.origin,
            "records": {name: asdict(record) for name, record in self.records.items()},
        }
        with replacing(self.path) as part:
            part.write_text(json.dumps(content, indent=1))
        title = "A small network, to try the program" if self.bench.tiny else "Measured on a GPU"
        with replacing(self.path.with_suffix(".md")) as part:
            part.write_text(report.text(title, self.bench.device, self.body()))

    def body(self) -> str:
        """The report below its head: a table for each section, and a line for each measurement that is not in one."""
        names = [key(section, measurement) for section in self.sections for measurement in section.measurements]
        done = sum(name in self.records and self.records[name].state == MEASURED for name in names)
        parts = [
            f"Commit {self.origin['commit']}, sources {self.origin['sources']}. {done} of {len(names)} measured; all "
            f"numbers are in {self.path.name}. Times are the median of several after a warm-up, and their range."
        ]
        if self.bench.tiny:
            frames, width, height = TRIAL_SIZE
            parts.append(f"Whatever the names say: a small network and clips of {frames} frames of {width}x{height}.")
        for section in self.sections:
            parts += [f"## {section.title}", section.note, *self._tables(section)]
        return "\n\n".join(parts)

    def _tables(self, section: Section) -> list[str]:
        rows, lines = [], []
        for measurement in section.measurements:
            record = self.records.get(key(section, measurement), Record(NO_TIME, "not measured yet"))
            names = [measurement.name, *[""] * len(record.rows)]
            rows += [{"measured": name, **row} for name, row in zip(names, record.rows, strict=False)]
            notes = [record.note] if record.note else []
            if record.state in FINAL and not self._is_current(record):
                notes.append(f"measured before, at commit {record.commit}, sources {record.sources}, {record.versions}")
            if notes:
                lines.append(f"- {measurement.name}: {'; '.join(notes)}")
        return [part for part in (table(rows), "\n".join(lines)) if part]


def key(section: Section, measurement: Measurement) -> str:
    return f"{section.title}: {measurement.name}"


def table(rows: Sequence[Mapping[str, Value]]) -> str:
    """A column for everything that a row has; "" without rows."""
    header = list(dict.fromkeys(column for row in rows for column in row))
    return report.table(header, [[shown(row.get(column, "")) for column in header] for row in rows]) if rows else ""


def shown(value: Value) -> str:
    """Three digits of a number; the median and the range of a list."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        if len(value) == 1:
            return shown(value[0])
        return f"{shown(statistics.median(value))} ({shown(min(value))} to {shown(max(value))})"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def card_name(bench: Bench) -> str:
    """Of the card, for a file's name."""
    name = torch.cuda.get_device_name(bench.device) if bench.device.type == "cuda" else bench.device.type
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return f"tiny_{plain}" if bench.tiny else plain


def sources_hash() -> str:
    """Of the code that is measured and that measures."""
    sources = sorted([*(ROOT / "unianimate_core").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")])
    sha = hashlib.sha256()
    for path in sources:
        sha.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return sha.hexdigest()[:12]


def commit() -> str:
    """Of the repository, "-dirty" if files were changed; "unknown" without git."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude", "*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
