"""The chosen frames of a video, and their rate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from unianimate_core.pose import PoseError, choose_frames
from unianimate_core.pose.clip import MOST_FRAMES


def test_frames_are_taken_at_the_target_rate():
    assert choose_frames(10, 30, target_fps=10) == ([0, 3, 6], 10)
    assert choose_frames(3, 12, target_fps=24) == ([0, 1, 1, 2, 2, 2], 24)
    assert choose_frames(10, 30, start=2, interval=3, count=2) == ([2, 5], 10)


rates = st.floats(0, 1e308) | st.sampled_from([0.01, 24, 30, 120, 1e-300, np.inf, np.nan, -1])


@given(st.integers(0, 10**6), rates, st.integers(-1, 100), rates, st.integers(0, 50), st.integers(-1, 200))
def test_any_settings_give_frames_or_an_error_of_one_sentence(total, source_fps, start, target_fps, interval, count):
    options = {"start": start, "target_fps": target_fps, "interval": interval, "count": count}
    try:
        frames, fps = choose_frames(total, source_fps, **options)
    except PoseError as error:
        assert "\n" not in str(error)
        return
    assert 1 <= len(frames) <= (count or MOST_FRAMES) and fps > 0
    assert frames == sorted(frames) and start <= frames[0] and frames[-1] < total


def test_more_frames_than_memory_holds_are_refused():
    """A file with a wrong rate would take 158 GiB."""
    with pytest.raises(PoseError, match=r"limit is 100,000"):
        choose_frames(300, 0.01, target_fps=120)
    assert len(choose_frames(300, 0.01, target_fps=120, count=50)[0]) == 50


def test_skipping_every_frame_is_an_error():
    with pytest.raises(PoseError, match="no frame is left after the first 10 of 10 are skipped: skip fewer"):
        choose_frames(10, 30, start=10)
    with pytest.raises(PoseError, match="start is -1"):
        choose_frames(10, 30, start=-1)
