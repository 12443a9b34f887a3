"""The moving image on top of the README: held-out drawn people, each as reference, poses and result.

    python -m benchmarks.moving_image

The people are chosen to differ; docs/mini.png shows the first twelve, unchosen (benchmarks/contact_sheet.py).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import av
import cv2
import numpy as np

from unianimate_core import UniAnimatePipeline, mini
from unianimate_core.drawn_world.characters import draw_clip
from unianimate_core.drawn_world.people.motion import FPS
from unianimate_core.pose import draw_poses
from unianimate_core.storage.atomic import replacing

OUTPUT = Path("docs/demo.webp")
CHARACTERS = (8, 4, 6, 5)
COLUMNS = 2
CAPTIONS = ("reference", "poses", "result")
CAPTION_HEIGHT, GAP = 20, 8  # pixels
QUALITY = 90  # of WebP, 0 to 100


def animated(pipe: UniAnimatePipeline, character: int, frames: int) -> np.ndarray:
    """Reference, drawn poses and result of a held-out person, side by side: uint8 f H 3W 3."""
    clip = draw_clip(character, frames, mini.HEIGHT, mini.WIDTH, split="test", world=mini.WORLD)
    poses = draw_poses(clip.poses, mini.HEIGHT, mini.WIDTH)
    result = pipe(clip.reference, clip.reference_pose, poses)
    return np.concatenate([np.broadcast_to(clip.reference, result.shape), poses, result], axis=2)


def grid(panels: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Panels of one size, uint8 f h w 3, in rows of `columns` on white, with captions on top: uint8 f H W 3."""
    frames, height, width, _ = panels[0].shape
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    canvas_height = CAPTION_HEIGHT + rows * (height + GAP) - GAP
    canvas = np.full((frames, canvas_height, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        top, left = CAPTION_HEIGHT + row * (height + GAP), column * (width + GAP)
        canvas[:, top : top + height, left : left + width] = panel
    canvas[:, :CAPTION_HEIGHT] = caption_strip(canvas.shape[2], columns, width)
    return canvas


def caption_strip(width: int, columns: int, panel_width: int) -> np.ndarray:
    """The names of the three parts of each column: uint8 h w 3."""
    strip = np.full((CAPTION_HEIGHT, width, 3), 255, np.uint8)
    for column in range(columns):
        for part, name in enumerate(CAPTIONS):
            left = column * (panel_width + GAP) + part * panel_width // len(CAPTIONS) + 4
            cv2.putText(strip, name, (left, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return strip


def write_webp(path: Path, frames: np.ndarray, fps: int) -> None:
    """An endless WebP animation. frames: uint8 f h w 3, RGB."""
    _, height, width, _ = frames.shape
    with replacing(path) as unfinished, av.open(unfinished, "w", format="webp", options={"loop": "0"}) as container:
        stream = container.add_stream("libwebp_anim", rate=fps, options={"quality": str(QUALITY)})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--characters", type=int, nargs="+", default=CHARACTERS, help="numbers of held-out people")
    parser.add_argument("--frames", type=int, default=24, help=f"of the motion, {FPS} a second (default: 24)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help=f"default: {OUTPUT}")
    options = parser.parse_args(arguments)
    pipe = UniAnimatePipeline.mini()
    panels = [animated(pipe, character, options.frames) for character in options.characters]
    write_webp(options.output, grid(panels, COLUMNS), FPS)
    print(f"wrote {options.output} ({options.output.stat().st_size:,} bytes)")


if __name__ == "__main__":
    main()
