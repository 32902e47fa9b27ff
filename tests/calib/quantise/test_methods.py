"""Each method against a reference that knows every value, not a histogram."""

import numpy as np
import pytest

from crispstream.calib.quantise.histogram import BINS, Histogram
from crispstream.calib.quantise.methods import METHODS, PERCENTILE, Range

COUNT = 20_001  # odd, so that no quantile falls between two values
SAMPLES = {
    "normal": np.random.default_rng(0).normal(0, 1, COUNT),
    "shifted": np.random.default_rng(1).normal(1, 1, COUNT),
    "relu": np.maximum(0, np.random.default_rng(2).normal(0, 1, COUNT)),
    "laplace": np.random.default_rng(3).laplace(0, 1, COUNT),
    "uniform": np.random.default_rng(4).uniform(-1, 1, COUNT),
    "spike": np.r_[np.random.default_rng(5).normal(0, 1, COUNT - 1), 40.0],
    "rare": np.r_[np.repeat(np.random.default_rng(7).normal(0, 1, 2000), 300), 40.0],
    "below zero": -np.random.default_rng(6).uniform(1, 2, COUNT),
}
every_sample = pytest.mark.parametrize("name", SAMPLES)


def histogram_of(values):
    seen = Histogram()
    seen.add("x", np.asarray(values, np.float32))
    return seen


def found(method, name):
    return METHODS[method](histogram_of(SAMPLES[name]))


def bin_width(name):
    return float(np.diff(histogram_of(SAMPLES[name]).centres[:2])[0])


def test_the_methods_and_the_default():
    assert list(METHODS) == ["mse", "percentile", "entropy", "max"]


@every_sample
@pytest.mark.parametrize("method", METHODS)
def test_every_range_holds_zero_and_ends_where_the_values_end(method, name):
    span, values = found(method, name), SAMPLES[name].astype(np.float32)
    assert span.low <= 0 <= span.high
    assert 0 < span.amax <= np.abs(values).max()
    assert min(0, values.min()) <= span.low < span.high <= max(0, values.max())


@every_sample
def test_max_is_the_largest(name):
    values = SAMPLES[name].astype(np.float32)
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    assert found("max", name) == Range(float(np.abs(values).max()), low, high)


@every_sample
def test_percentile_is_numpys(name):
    values, span, near = SAMPLES[name], found("percentile", name), 1.5 * bin_width(name)
    amax = np.percentile(np.abs(values), PERCENTILE, method="inverted_cdf")
    low, high = np.percentile(values, [100 - PERCENTILE, PERCENTILE], method="inverted_cdf")
    assert span.amax == pytest.approx(amax, abs=near)
    assert span.low == pytest.approx(min(0, low), abs=near)
    assert span.high == pytest.approx(max(0, high), abs=near)


def square_error(values, counts, low, high, steps):
    """What rounding to `steps` equal steps from low to high, one of them at zero, loses."""
    step = (high - low) / steps
    first = np.round(low / step)
    whole = np.clip(np.round(values / step), first, first + steps)
    return np.average(np.square(whole * step - values), weights=counts)


@every_sample
def test_mse_finds_what_an_exhaustive_search_finds(name):
    span, full = found("mse", name), found("max", name)
    sample = np.unique(SAMPLES[name], return_counts=True)
    shares = np.linspace(0.02, 1, 150)
    symmetric = min(square_error(*sample, -full.amax * s, full.amax * s, 254) for s in shares)
    affine = min(square_error(*sample, full.low * s, full.high * s, 255) for s in shares)
    assert square_error(*sample, -span.amax, span.amax, 254) <= 1.02 * symmetric
    assert square_error(*sample, span.low, span.high, 255) <= 1.02 * affine


def test_mse_clips_what_is_far_and_rare_and_not_what_is_frequent():
    assert 0.2 < found("mse", "rare").amax / 40 < 0.4
    assert found("mse", "uniform").amax == found("max", "uniform").amax


@every_sample
def test_entropy_lies_between_128_bins_and_the_largest(name):
    values = histogram_of(SAMPLES[name])
    amax = found("entropy", name).amax
    reach = BINS / 2 * bin_width(name)
    assert 128 / 2048 * reach <= amax <= max(-values.low, values.high)


def test_entropy_clips_a_long_tail_and_nothing_of_even_values():
    tail, even = found("entropy", "spike"), found("entropy", "uniform")
    assert tail.amax < 10
    assert tail.amax > np.percentile(np.abs(SAMPLES["spike"]), 99)
    assert even.amax > 0.98


def test_entropy_leaves_in_what_no_value_near_zero_stands_for():
    # No value is smaller than 1: a range up to 1 would make them all the same.
    assert found("entropy", "below zero").amax > 1.9


def test_entropy_is_not_moved_by_the_zeros_that_relu_makes():
    positive = np.abs(SAMPLES["laplace"])
    with_zeros = np.r_[positive, np.zeros(20 * COUNT)]
    amax = METHODS["entropy"](histogram_of(positive)).amax
    assert METHODS["entropy"](histogram_of(with_zeros)).amax == pytest.approx(amax, rel=0.01)


def test_a_constant_tensor_has_its_range():
    for method in METHODS.values():
        span = method(histogram_of(np.full(100, 5.0)))
        assert span.amax == pytest.approx(5, rel=0.01)
        assert (span.low, span.high) == (0, pytest.approx(5, rel=0.01))
