"""The moving image on top of the README."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageSequence

from benchmarks import moving_image
from benchmarks.moving_image import CAPTION_HEIGHT, GAP, grid
from unianimate_core import mini
from unianimate_core.drawn_world.characters import draw_clip


def test_the_moving_image_shows_reference_poses_and_result_of_each_person(tmp_path, capsys):
    path = tmp_path / "demo.webp"
    moving_image.main(["--characters", "1", "--frames", "2", "--output", str(path)])
    assert f"wrote {path}" in capsys.readouterr().out
    with Image.open(path) as image:
        frames = [np.array(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]
    assert [frame.shape for frame in frames] == [(CAPTION_HEIGHT + mini.HEIGHT, 3 * mini.WIDTH, 3)] * 2

    clip = draw_clip(1, 2, mini.HEIGHT, mini.WIDTH, split="test", world=mini.WORLD)
    reference, poses, result = np.split(frames[1][CAPTION_HEIGHT:].astype(float), 3, axis=1)
    assert np.abs(reference - clip.reference).mean() < 5, "lossy, but the same image"
    assert (poses < 20).mean() > 0.5, "a drawn pose is mostly black"
    assert np.abs(result - clip.frames[1]).mean() < 30


def test_panels_do_not_overlap():
    panels = [np.full((2, 10, 12, 3), level, np.uint8) for level in (10, 20, 30)]
    image = grid(panels, columns=2)
    assert image.shape == (2, CAPTION_HEIGHT + 2 * 10 + GAP, 2 * 12 + GAP, 3)
    below = image[:, CAPTION_HEIGHT:]
    assert [(below == level).all(-1).sum() for level in (10, 20, 30)] == [2 * 10 * 12] * 3
