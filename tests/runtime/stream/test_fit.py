"""One size out, whatever comes in: nothing squeezed, bars black, buffers kept."""

import numpy as np
import pytest

from crispstream.runtime.stream.fit import Fit


def test_the_right_size_passes_untouched() -> None:
    image = np.zeros((4, 8, 3), np.uint8)
    assert Fit(8, 4)(image) is image


@pytest.mark.parametrize(
    ("came", "inner"),
    [
        ((40, 40), (slice(None), slice(10, 50))),  # (height, width) into 60x40: bars at the sides
        ((30, 90), (slice(10, 30), slice(None))),  # bars above and below
        ((20, 30), (slice(None), slice(None))),  # the same shape, larger
        ((80, 120), (slice(None), slice(None))),  # and smaller
    ],
)
def test_shapes_are_kept_with_black_bars(came: tuple[int, int], inner: tuple[slice, slice]) -> None:
    fitted = Fit(60, 40)(np.full((*came, 3), 200, np.uint8))
    expected = np.zeros((40, 60, 3), np.uint8)
    expected[inner] = 200
    np.testing.assert_array_equal(fitted, expected)


def test_bars_stay_black_when_the_shape_changes_back_and_forth() -> None:
    fit = Fit(60, 40)
    for _ in range(2):
        fit(np.full((30, 90, 3), 255, np.uint8))
        fitted = fit(np.full((40, 40, 3), 255, np.uint8))
    assert not fitted[:, :10].any()
    assert fitted[:, 10:50].all()


def test_one_buffer_serves_all_frames_of_a_size() -> None:
    fit = Fit(60, 40)
    addresses = {fit(np.full((40, 40, 3), n, np.uint8)).ctypes.data for n in range(5)}
    assert len(addresses) == 1
