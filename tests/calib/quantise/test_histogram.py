"""One pass over a tensor: nothing is lost however the range grows."""

import numpy as np
import pytest

from crispstream.calib.quantise.histogram import BINS, Histogram
from crispstream.core.errors import UsageError

FIRST_REACH = 1.001  # of a tensor whose largest value is 1


def counted(*tensors):
    seen = Histogram()
    for tensor in tensors:
        seen.add("x", np.asarray(tensor, np.float32))
    return seen


def mid_bin_values(count, largest, seed=0):
    """Values in the middle of the bins of reach 1.001, so that no edge is a matter of rounding."""
    width = 2 * FIRST_REACH / BINS
    numbers = np.random.default_rng(seed).integers(0, int(largest / width), count)
    signs = np.random.default_rng(seed + 1).choice([-1, 1], count)
    return signs * (numbers + 0.5) * width


def test_counts_are_those_of_numpy_however_the_range_grows():
    parts = [[1.0], mid_bin_values(5000, 0.9), mid_bin_values(3000, 3.5), mid_bin_values(2000, 30)]
    seen = counted(*parts)
    reach = FIRST_REACH * 32
    expected, edges = np.histogram(np.concatenate(parts), BINS, (-reach, reach))
    assert np.array_equal(seen.counts, expected)
    assert np.allclose(seen.centres, (edges[1:] + edges[:-1]) / 2)
    assert seen.values == seen.counts.sum() == 10_001


def test_the_range_leaves_sixteen_bins_to_each_step_of_int8():
    for largest in (1e-6, 0.3, 1.002, 7.0, 3e4):
        seen = counted([0.2 * largest], [largest])
        assert np.diff(seen.centres[:2])[0] < largest / 127 / 16


def test_zeros_before_the_first_value_are_counted():
    seen = counted(np.zeros(7), [1.0, -1.0])
    assert seen.values == seen.counts.sum() == 9
    assert seen.counts[BINS // 2] == 7


@pytest.mark.parametrize("largest", [0.7, 1.0, 5.3])
def test_a_value_on_the_outer_edge_is_not_lost(largest):
    edge = np.float32(float(np.float32(largest)) * FIRST_REACH)
    seen = counted([largest], [edge, -edge])
    assert seen.counts.sum() == 3


def test_lowest_and_highest_are_exact_and_hold_zero():
    seen = counted([2.5, 3.5], [[1.25], [7.0]])
    assert (seen.low, seen.high) == (0.0, 7.0)
    assert counted([-3.0, -2.0]).low == -3.0
    assert counted([-3.0, -2.0]).high == 0.0


def test_nothing_but_zeros_has_no_range():
    seen = counted(np.zeros(4), np.zeros(4))
    assert (seen.low, seen.high, seen.values) == (0.0, 0.0, 8)


def test_magnitudes_fold_both_signs():
    values = np.r_[1.0, mid_bin_values(4000, 0.95)]
    centres, counts = counted(values).magnitudes()
    expected, _ = np.histogram(np.abs(values), BINS // 2, (0, FIRST_REACH))
    assert np.array_equal(counts, expected)
    assert 0 < centres[0] < centres[-1] < FIRST_REACH


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused_by_the_tensors_name(odd):
    seen = Histogram()
    with pytest.raises(UsageError, match="'/a/Conv_output' holds NaN or infinity"):
        seen.add("/a/Conv_output", np.array([1, odd, 2], np.float32))


def test_infinities_of_both_signs_are_refused_too():
    with pytest.raises(UsageError, match="train the network again"):
        counted([np.inf, -np.inf])
