"""Overlaps of boxes, by which people are followed over time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from unianimate_core.pose.boxes import box_overlaps

SIDES = st.tuples(st.floats(-100, 100), st.floats(-100, 100), st.floats(0.1, 100), st.floats(0.1, 100))


def boxes(sides: list[tuple[float, float, float, float]]) -> np.ndarray:
    x, y, width, height = np.array(sides).T
    return np.stack([x, y, x + width, y + height], 1)


@given(st.lists(SIDES, min_size=1, max_size=4), st.lists(SIDES, min_size=1, max_size=4))
def test_overlaps_are_symmetric_shares_and_1_for_the_same_box(one, other):
    a, b = boxes(one), boxes(other)
    overlaps = box_overlaps(a, b)
    assert overlaps.shape == (len(a), len(b)) and (overlaps >= 0).all() and (overlaps <= 1 + 1e-9).all()
    np.testing.assert_allclose(overlaps, box_overlaps(b, a).T)
    np.testing.assert_allclose(np.diag(box_overlaps(a, a)), 1)


def test_an_overlap_is_intersection_over_union():
    """Two squares of 4 that share 2 have a union of 6; boxes side by side share nothing."""
    a = np.array([[0, 0, 2, 2]])
    np.testing.assert_allclose(box_overlaps(a, np.array([[1, 0, 3, 2], [2, 0, 4, 2]])), [[1 / 3, 0]])
