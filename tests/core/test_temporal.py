"""Flicker and warped differences: what is steady has none, what was added is found again."""

import numpy as np
import pytest

from crispstream.core.errors import FrameError
from crispstream.core.temporal import difference, motion, warped_difference
from tests.helpers.pictures import soft_picture

WIDE = soft_picture(4, 120, 160)


def window(x: int) -> np.ndarray:
    """A camera that looks `x` pixels further to the right."""
    return np.ascontiguousarray(WIDE[8:104, 8 + x : 136 + x])


def test_the_difference_is_of_levels_and_has_no_sign():
    a = np.full((4, 6, 3), 100, np.uint8)
    b = a.copy()
    b[0], b[1] = 104, 96  # a half of the pixels, 4 levels off
    assert difference(a, b) == difference(b, a) == 2.0
    assert difference(a, a) == 0


def test_a_shift_is_found_and_what_came_into_view_is_not_judged():
    moved = motion(window(0), window(5))
    rows, columns = np.mgrid[0:96, 0:128]
    inner = np.s_[10:-10, 10:-16]
    np.testing.assert_allclose(moved.places[inner][..., 0], columns[inner] + 5, atol=0.5)
    np.testing.assert_allclose(moved.places[inner][..., 1], rows[inner], atol=0.5)
    assert moved.judged[inner].mean() > 0.95
    assert not moved.judged[:, -4:].any()


def test_along_its_motion_a_steady_clip_hardly_differs_and_flicker_shows():
    moved = motion(window(0), window(5))
    plain = difference(window(0), window(5))
    along = warped_difference(window(0), window(5), moved)
    assert along is not None
    assert along < 0.2 * plain
    brighter = np.clip(window(5).astype(int) + 10, 0, 255).astype(np.uint8)
    off = warped_difference(window(0), brighter, moved)
    assert off is not None
    assert off == pytest.approx(10, abs=1)


def test_what_was_hidden_is_masked():
    before, now = window(0), window(0).copy()
    now[30:60, 40:80] = soft_picture(9, 30, 40)  # something else appears
    moved = motion(before, now)
    assert moved.judged[30:60, 40:80].mean() < moved.judged[:20].mean()


def test_where_nothing_is_judged_there_is_no_figure():
    moved = motion(window(0), window(1))._replace(judged=np.zeros((96, 128), bool))
    assert warped_difference(window(0), window(1), moved) is None


def test_frames_of_two_sizes_are_refused():
    small = window(0)[:50]
    moved = motion(window(0), window(1))
    for call in (
        lambda: difference(small, window(0)),
        lambda: motion(small, window(0)),
        lambda: warped_difference(small, window(0), moved),
    ):
        with pytest.raises(FrameError, match="byte frames of one size"):
            call()
