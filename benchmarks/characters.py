"""Draws sheets of the drawn world's characters, docs/characters.png and docs/cast.png, and measures the drawing speed.

python -m benchmarks.characters
python -m benchmarks.characters --cast   (only the sheet of the storybook cast)
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from benchmarks import report
from unianimate_core.drawn_world.characters import draw_clip
from unianimate_core.drawn_world.world import STORYBOOK

SIZES = ((64, 128), (128, 128), (128, 192), (256, 384), (512, 768))  # width, height
FRAMES, CLIPS, ROUNDS = 16, 8, 5
PEOPLE, COLUMNS, MOMENTS = 24, 12, (0, 3, 6, 9, 12, 15)
CAST, CAST_COLUMNS, CAST_MOMENTS = 30, 5, (0, 5)
DOCS = Path(__file__).parents[1] / "docs"
SHEET, CAST_SHEET = DOCS / "characters.png", DOCS / "cast.png"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cast", action="store_true", help="draw only docs/cast.png, without measuring")
    only_cast = parser.parse_args().cast
    cv2.setNumThreads(1)
    write_cast_sheet(192, 128, CAST_SHEET)
    if only_cast:
        return
    write_sheet(192, 128)
    rows = [[f"{width}x{height}", frames_per_second(width, height)] for width, height in SIZES]
    body = (
        f"Frames a second on one core, by processor time: median of {ROUNDS} rounds of {CLIPS} clips (slowest to "
        f"fastest). Each clip has {FRAMES} frames and a reference image; drawing the background is included.\n\n"
        + report.table(("width x height", "frames a second"), rows)
        + "\n\n![24 people, and six moments of four of them](../../docs/characters.png)"
    )
    report.write(report.RESULTS / "characters.md", "The drawn world", torch.device("cpu"), body, weights="none")


def frames_per_second(width: int, height: int) -> str:
    rates = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for seed in range(CLIPS):
            draw_clip(seed, FRAMES, height, width)
        rates.append(CLIPS * (FRAMES + 1) / (time.process_time() - start))
    return f"{statistics.median(rates):.0f} ({min(rates):.0f} to {max(rates):.0f})"


def write_sheet(height: int, width: int) -> None:
    """Writes reference images of many people and, below them, some moments of a few clips."""
    people = [draw_clip(seed, 1, height, width, split="test").reference for seed in range(PEOPLE)]
    rows = [np.concatenate(people[start : start + COLUMNS], axis=1) for start in range(0, PEOPLE, COLUMNS)]
    clips = [draw_clip(seed, FRAMES, height, width, split="test") for seed in range(PEOPLE, PEOPLE + 4)]
    moments = [np.concatenate([clip.frames[moment] for moment in MOMENTS], axis=1) for clip in clips]
    rows += [np.concatenate(moments[start : start + 2], axis=1) for start in (0, 2)]
    SHEET.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(SHEET), np.concatenate(rows)[..., ::-1])


def write_cast_sheet(height: int, width: int, destination: Path) -> None:
    """Writes the reference image and two frames of each of 30 storybook characters, as a PNG of 256 colors."""
    triples = []
    for seed in range(CAST):
        clip = draw_clip(seed, max(CAST_MOMENTS) + 1, height, width, split="test", world=STORYBOOK)
        triples.append(np.concatenate([clip.reference, *(clip.frames[moment] for moment in CAST_MOMENTS)], axis=1))
    rows = [np.concatenate(triples[start : start + CAST_COLUMNS], axis=1) for start in range(0, CAST, CAST_COLUMNS)]
    sheet = Image.fromarray(np.concatenate(rows))
    palette = sheet.quantize(256)
    destination.parent.mkdir(exist_ok=True)
    sheet.quantize(256, palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(destination, optimize=True)


if __name__ == "__main__":
    main()
