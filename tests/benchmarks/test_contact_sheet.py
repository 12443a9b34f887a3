"""The sheet that shows reference, pose, result and truth of several characters."""

from __future__ import annotations

import cv2
import numpy as np

from benchmarks import contact_sheet
from benchmarks.contact_sheet import Column, furthest_frame
from tests.benchmarks.made_up import SIZE
from unianimate_core.drawn_world.characters import draw_clip


def test_the_contact_sheet_shows_every_character_in_four_rows(checkpoints, tmp_path, capsys):
    path = tmp_path / "sheet.png"
    contact_sheet.main(
        f"--network {checkpoints}/unified.safetensors --characters 3 --frames 4 --width 64 --height 64 --steps 2 "
        f"--vae linear --world {{}} --device cpu --keep {tmp_path} --output {path}".split()
    )
    assert f"wrote {path}" in capsys.readouterr().out
    sheet = cv2.imread(str(path))[..., ::-1]
    clips = [draw_clip(seed, 4, **SIZE, split="test") for seed in range(3)]
    for index, clip in enumerate(clips):
        left = contact_sheet.LABEL_WIDTH + index * (64 + contact_sheet.GAP)
        rows = [sheet[4 + row * 68 : 68 + row * 68, left : left + 64] for row in range(4)]
        assert np.array_equal(rows[0], clip.reference)
        assert (rows[1] == 0).mean() > 0.5, "a drawn pose is mostly black"
        assert any(np.array_equal(rows[3], frame) for frame in clip.frames)


def test_the_contact_sheet_shows_the_frame_that_moves_most(clips):
    """Not the one that came out best."""
    clip = clips[0]
    far = [pose.moved(lambda points: points + 0.3) for pose in clip.poses[:1]]
    assert furthest_frame(clip.reference_pose, [clip.reference_pose, *far, clip.reference_pose]) == 1


def test_rows_of_the_sheet_do_not_overlap():
    images = [np.full((10, 8, 3), level, np.uint8) for level in (10, 20, 30, 40)]
    sheet = contact_sheet.contact_sheet([Column(*images)] * 2)
    assert sheet.shape == (4 * 14 + 4, contact_sheet.LABEL_WIDTH + 2 * 12, 3)
    for level in (10, 20, 30, 40):
        assert (sheet[:, contact_sheet.LABEL_WIDTH :] == level).all(-1).sum() == 2 * 80
