"""The metrics find seams and drift, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unianimate_core.evaluation.continuity import color_distances, detail, drift, frame_changes, seam_jump
from unianimate_core.long_video.chain import new_frames, split_segments

SEGMENTS = new_frames(split_segments(40, 11))  # 0-10, 11-20, 21-30, 31-39
SEAMS = [frames.start for frames in SEGMENTS[1:]]


def moving_square(frames: int = 40) -> list[np.ndarray]:
    """A square that moves by one pixel a frame, before a textured wall."""
    wall = np.random.default_rng(0).integers(60, 90, (48, 64, 3), dtype=np.uint8)
    video = []
    for frame in range(frames):
        image = wall.copy()
        image[16:32, frame : frame + 16] = (200, 80, 40)
        video.append(image)
    return video


def test_steady_motion_has_no_seam():
    seam = seam_jump(frame_changes(moving_square()), SEGMENTS)
    assert seam.jump == pytest.approx(1, abs=0.1)
    assert seam.worst == pytest.approx(1, abs=0.1)


def test_a_jump_counts_at_a_seam_and_not_within_a_segment():
    """A jump within a segment is the dancer's motion. Only a jump at a seam comes from the chain."""
    changes = frame_changes(moving_square())
    at_seams, within = changes.copy(), changes.copy()
    at_seams[[seam - 1 for seam in SEAMS]] *= 3
    within[5] *= 3
    assert seam_jump(at_seams, SEGMENTS).jump == pytest.approx(3, rel=0.1)
    assert seam_jump(within, SEGMENTS).jump == pytest.approx(1, abs=0.1)
    at_seams[SEAMS[1] - 1] *= 2
    assert seam_jump(at_seams, SEGMENTS).worst == pytest.approx(6, rel=0.1)


def test_a_video_of_one_segment_has_no_seam():
    with pytest.raises(ValueError, match="1 segments of 40 frames have no seam to compare"):
        seam_jump(frame_changes(moving_square()), [range(40)])


@given(st.integers(1, 6))
def test_brightness_that_grows_with_each_segment_is_drift(step):
    """The mean grows by `step` and the deviation not at all, so the distance grows by step / sqrt 2."""
    video = moving_square()
    for index, frames in enumerate(SEGMENTS):
        for frame in frames:
            video[frame] = video[frame] + np.uint8(step * index)
    found = drift(color_distances(video, video[0]), SEGMENTS)
    still = drift(color_distances(moving_square(), video[0]), SEGMENTS)
    assert found.a_segment == pytest.approx(step / 2**0.5, rel=0.1)
    assert abs(still.a_segment) < 0.05
    assert found.end - found.start == pytest.approx(3 * step / 2**0.5, rel=0.1)


def test_the_reference_has_distance_0():
    video = moving_square(1)
    assert color_distances(video, video[0]).tolist() == [0]


def test_blur_lowers_detail():
    (sharp,) = moving_square(1)
    soft = sharp.reshape(24, 2, 32, 2, 3).mean((1, 3)).astype(np.uint8).repeat(2, 0).repeat(2, 1)
    sharp_detail, soft_detail, flat = detail([sharp, soft, np.full_like(sharp, 7)])
    assert sharp_detail > 1.5 * soft_detail > flat == 0
