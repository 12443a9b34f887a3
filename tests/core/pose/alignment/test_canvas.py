"""Poses moved to a canvas of another shape."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.support.stick_figure import skeleton, standing
from unianimate_core.pose import frames_outside, onto_canvas

SIDES = st.integers(10, 4000)


@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES))
def test_a_pose_keeps_its_proportions_and_stays_inside(size, new_size):
    """Mode "none" does not align, but must not squash the person either."""
    pose = skeleton(standing())
    (moved,) = onto_canvas([pose], size, new_size)
    before, after = pose.body * size, moved.body * new_size
    lengths = [np.linalg.norm(points[1:] - points[:-1], axis=1) for points in (before, after)]
    np.testing.assert_allclose(lengths[1] / lengths[0], (lengths[1] / lengths[0])[0], rtol=1e-6)
    assert frames_outside([moved]) == []


def test_frames_outside_gives_the_frames_that_leave_the_canvas():
    inside = skeleton(standing())
    outside = skeleton(standing() + np.array([0.9, 0.0]))
    assert frames_outside([inside, outside, inside]) == [1]
