"""One image to judge a network by: held-out characters in columns; reference, pose, result and truth in rows.

    python -m benchmarks.contact_sheet --precision bf16

Of each clip the frame is shown whose pose is furthest from the reference's, whatever became of it.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from unianimate_core import mini
from unianimate_core.drawn_world.characters import DrawnClip
from unianimate_core.pose import Pose, draw_poses
from unianimate_core.storage.atomic import replacing

from .comparison.codec import load_codec
from .comparison.options import ComparisonParser, bench_of, drawn_clips, settings_of
from .comparison.rows import UNIFIED, load_compared

ROWS = ("reference", "pose", "result", "truth")
GAP, LABEL_WIDTH = 4, 92


@dataclass(frozen=True)
class Column:
    """One character in one frame; all uint8 h w 3."""

    reference: np.ndarray
    pose: np.ndarray
    result: np.ndarray
    truth: np.ndarray


def column(clip: DrawnClip, result: np.ndarray) -> Column:
    """result: the frames made of the clip, uint8 f h w 3."""
    frame = furthest_frame(clip.reference_pose, clip.poses)
    pose = draw_poses([clip.poses[frame]], *clip.reference.shape[:2])[0]
    return Column(clip.reference, pose, result[frame], clip.frames[frame])


def furthest_frame(reference: Pose, poses: Sequence[Pose]) -> int:
    """The frame whose joints lie furthest from the reference's, on average of those that both show."""

    def distance(pose: Pose) -> float:
        both = reference.body_seen & pose.body_seen
        return float(np.linalg.norm((pose.body - reference.body)[both], axis=1).mean()) if both.any() else 0.0

    return int(np.argmax([distance(pose) for pose in poses]))


def contact_sheet(columns: Sequence[Column]) -> np.ndarray:
    """All columns side by side on white, the rows named at the left. uint8 h w 3."""
    height = columns[0].reference.shape[0]
    labels = np.full((len(ROWS) * (height + GAP) + GAP, LABEL_WIDTH, 3), 255, np.uint8)
    for row, name in enumerate(ROWS):
        place = (8, GAP + row * (height + GAP) + height // 2)
        cv2.putText(labels, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)
    stacks = [_stacked([getattr(own, name) for name in ROWS]) for own in columns]
    return np.concatenate([labels, *stacks], axis=1)


def _stacked(images: Sequence[np.ndarray]) -> np.ndarray:
    framed = [np.pad(image, ((0, GAP), (0, GAP), (0, 0)), constant_values=255) for image in images]
    return np.pad(np.concatenate(framed), ((GAP, 0), (0, 0), (0, 0)), constant_values=255)


def write_image(path: str | os.PathLike, image: np.ndarray) -> None:
    """As PNG. image: uint8 h w 3, RGB."""
    encoded = cv2.imencode(".png", image[..., ::-1])[1]
    with replacing(path) as unfinished:
        Path(unfinished).write_bytes(encoded.tobytes())


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = ComparisonParser(__doc__, Path("docs/mini.png"))
    parser.add_argument("--network", type=Path, default=mini.TRANSFORMER, help="default: UniAnimate-mini's")
    parser.add_argument("--characters", type=int, default=12, help="columns (default: 12)")
    return parser.parsed(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parse(arguments)
    settings, codec = settings_of(options), load_codec(options.vae, options.device)
    network = load_compared(options.network, codec, settings, options.precision, options.device)
    clips = drawn_clips(options, "test", options.characters, options.frames)
    results = bench_of(options, settings, options.precision).animated(UNIFIED, network, clips)
    write_image(options.output, contact_sheet([column(*pair) for pair in zip(clips, results, strict=True)]))
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
