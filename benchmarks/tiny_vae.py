"""The tiny VAE on drawn people that it was not trained on: quality of the reconstruction, and speed.

python -m benchmarks.tiny_vae
"""

from __future__ import annotations

import argparse
import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks import report
from unianimate_core import mini
from unianimate_core.training.vae.quality import Reconstruction, reconstruct
from unianimate_core.vae.tiny import TinyVAE, load_tiny_vae

SIZES = ((64, 128), (128, 128), (128, 192))  # width, height
SHEET_PEOPLE, SHEET_SIZE = 12, (128, 192)
LATENT_NOISE = 0.1
TIMED_FRAMES, ROUNDS = 16, 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vae", type=Path, default=mini.VAE)
    parser.add_argument("--people", type=int, default=100, help="held-out characters, one image each")
    parser.add_argument(
        "--curves", type=Path, nargs="*", default=[], help="curve.csv of each training, to copy and draw"
    )
    options = parser.parse_args()
    vae = load_tiny_vae(options.vae)
    rows = [row(vae, width, height, options.people) for width, height in SIZES]
    header = ("width x height", "PSNR, dB", f"PSNR with noise {LATENT_NOISE}", "standard deviation", "ms a frame")
    body = (
        f"{options.people} held-out people (split test), one image each. PSNR: mean (lowest to highest); then with "
        f"Gaussian noise of standard deviation {LATENT_NOISE} added to the latents. Standard deviation: of each of the "
        f"four latent channels, in the network's units. Time: the shortest of {ROUNDS} rounds.\n\n"
        + report.table(header, rows)
    )
    width, height = SHEET_SIZE
    sheet(report.RESULTS / "tiny_vae.png", reconstruct(vae, height, width, SHEET_PEOPLE))
    body += "\n\nImages above, reconstructions below:\n\n![people and their reconstructions](tiny_vae.png)"
    if options.curves:
        for number, curve in enumerate(options.curves, start=1):
            shutil.copy(curve, report.RESULTS / f"tiny_vae_curve_{number}.csv")
        draw_curve(options.curves, report.RESULTS / "tiny_vae_curve.png")
        body += "\n\nPSNR of training crops against steps, smoothed; one training follows the other:"
        body += "\n\n![training curve](tiny_vae_curve.png)"
    weights = f"{options.vae}, as shipped"
    report.write(report.RESULTS / "tiny_vae.md", "The tiny VAE", torch.device("cpu"), body, weights=weights)


def row(vae: TinyVAE, width: int, height: int, people: int) -> list[str]:
    clean = reconstruct(vae, height, width, people)
    wrong = reconstruct(vae, height, width, people, latent_noise=LATENT_NOISE)
    deviation = ", ".join(f"{value:.2f}" for value in clean.latents.std((0, 2, 3)))
    return [
        f"{width}x{height}",
        f"{clean.psnr.mean():.2f} ({clean.psnr.min():.2f} to {clean.psnr.max():.2f})",
        f"{wrong.psnr.mean():.2f}",
        deviation,
        milliseconds(vae, width, height),
    ]


@torch.no_grad()
def milliseconds(vae: TinyVAE, width: int, height: int) -> str:
    clip = torch.rand(1, 3, TIMED_FRAMES, height, width)
    latent = vae.encode(clip)
    vae.decode(latent)
    cpu = torch.device("cpu")
    work = {"encode": lambda: vae.encode(clip), "decode": lambda: vae.decode(latent)}
    times = report.interleaved(work, ROUNDS, cpu)
    return ", ".join(f"{name} {1000 * min(taken) / TIMED_FRAMES:.1f}" for name, taken in times.items())


def sheet(path: Path, people: Reconstruction) -> None:
    """Write the images in one row and their reconstructions below."""
    rows = [np.concatenate(list(images.movedim(1, -1).numpy()), axis=1) for images in (people.images, people.decoded)]
    cv2.imwrite(str(path), (255 * np.concatenate(rows)).round().astype(np.uint8)[..., ::-1])


def draw_curve(sources: list[Path], path: Path, height: int = 240, width: int = 640, smooth: int = 25) -> None:
    values = []
    for source in sources:
        with source.open() as file:
            psnr = [float(line["psnr"]) for line in csv.DictReader(file)]
        values.append(np.convolve(psnr, np.ones(smooth) / smooth, mode="valid"))
    values = np.concatenate(values)
    low, high = np.floor(values.min()), np.ceil(values.max())
    image = np.full((height, width, 3), 255, np.uint8)
    for level in range(int(low), int(high) + 1, 2):
        y = round((height - 20) * (high - level) / (high - low)) + 10
        cv2.line(image, (40, y), (width - 10, y), (220, 220, 220), 1)
        cv2.putText(image, f"{level} dB", (2, y + 4), cv2.FONT_HERSHEY_SIMPLEX, 0.32, (80, 80, 80), 1, cv2.LINE_AA)
    x = np.linspace(40, width - 10, len(values))
    y = (height - 20) * (high - values) / (high - low) + 10
    cv2.polylines(image, [np.stack([x, y], axis=-1).round().astype(np.int32)], False, (160, 90, 30), 1, cv2.LINE_AA)
    cv2.imwrite(str(path), image)


if __name__ == "__main__":
    main()
