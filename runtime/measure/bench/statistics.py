"""Whether one series of durations is slower than another, on a machine that is never still.

The interval is a bootstrap's: the series is drawn again from itself, thousands of times, and the
middle 99 % of the medians are the interval (Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 13). Drawing single rounds takes them for independent. They are not: a
busy neighbour or a core that throttles slows several rounds in a row, and may slow one variant
only. So stretches of 2, 4, 8 ... neighbouring rounds are drawn as well (Kuensch, The jackknife and
the bootstrap for general stationary observations, Annals of Statistics 17, 1989), and the widest
of all those intervals counts. Long stretches alone would be too narrow where rounds are few, and
where the order of turns pushes the ratio up and down in turns.

One thing no number of rounds tells: where the buffers of a variant came to lie (`PLACEMENT`). It is
added to the interval as the independent error that it is, by the root of the squares.

What that is worth is shown by tests/runtime/measure/bench/ and benchmarks/bench_decisions.py.
"""

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from crispstream.core.errors import UsageError
from crispstream.runtime.measure.figures import Ratio

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.99
SUREST = 0.9999
"""The highest confidence: of 4,000 draws no rarer end can be read."""
PLACEMENT = 0.01
"""Standard deviation of the ratio of two engines of one graph, each opened for itself: they differ
for as long as they live, since the addresses of their buffers decide what shares a cache line or a
page. Four pairs of edge-n int8-cpu, 8 s each on two idle cores, had medians from 0.98 to 1.01, in
both halves of a run. Mytkowicz et al., Producing wrong data without doing anything obviously wrong,
ASPLOS 2009, saw more from that cause."""
_RESAMPLES = 4000
_FEWEST_STRETCHES = 4
"""Of which a series of the longest stretches is made: from fewer no spread can be read."""
_SHORTEST, _LONGEST = 1e-50, 1e50
"""Whatever the unit: no stopwatch gives what lies beyond, and its ratios are beyond a float."""


def least_pairs(confidence: float = CONFIDENCE) -> int:
    """Return how many pairs an interval of this confidence takes at least.

    From fewer not even the smallest and the largest of them hold the median so surely: all n lie
    on one side of it with a chance of 2 / 2^n.

    >>> least_pairs(0.99), least_pairs(0.95)
    (8, 6)

    Raises:
        UsageError: if the confidence is below 0.5 or above `SUREST`.
    """
    if not 0.5 <= confidence <= SUREST:
        raise UsageError(
            f"a confidence of {confidence!r} cannot be had; give one from 0.5 to {SUREST:g}, such "
            f"as {CONFIDENCE:g}"
        )
    return math.ceil(1 - math.log2(1 - confidence))


def paired_ratio(
    numerators: Sequence[float],
    denominators: Sequence[float],
    *,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Ratio:
    """Compare two series measured in turns: the median of the ratios, pair by pair.

    Pairing takes out what both felt, such as a slow minute of the machine.

    >>> paired_ratio([2.0, 4.0] * 4, [1.0, 2.0] * 4).median
    2.0

    Args:
        numerators: durations, above 0, in the order they were measured.
        denominators: durations of the same rounds.
        confidence: share of such intervals that hold the true ratio.
        seed: of the draws.

    Raises:
        UsageError: if there are fewer pairs than `least_pairs` tells, or for a confidence that it
            refuses, or a duration that no stopwatch gives.
        ValueError: if the series differ in length, or a duration is not above 0.
    """
    logs = _logs(numerators) - _logs(denominators)
    _check_count(len(logs), confidence)
    rng = np.random.default_rng(seed)
    intervals = [_quantiles(each, confidence) for each in _redrawn_medians(logs, rng)]
    return _ratio(float(np.median(logs)), intervals, len(logs), confidence)


def unpaired_ratio(
    a_blocks: Sequence[float],
    b_blocks: Sequence[float],
    *,
    confidence: float = CONFIDENCE,
    seed: int = 0,
) -> Ratio:
    """Compare two separate runs: the median of `a_blocks` over that of `b_blocks`.

    A slow drift within a run widens the interval, since long stretches of it are drawn whole: up
    to the longest of the longer run, beside the longest that the shorter one has. What changed
    between the runs cannot be told from a difference of what was run.

    Args:
        a_blocks: durations, above 0, in the order they were measured.
        b_blocks: those of the run to compare with.
        confidence: share of such intervals that hold the true ratio.
        seed: of the draws.

    Raises:
        UsageError: if one has fewer durations than `least_pairs` tells, or for a confidence that
            it refuses, or a duration that no stopwatch gives.
        ValueError: if a duration is not above 0.
    """
    a_logs, b_logs = _logs(a_blocks), _logs(b_blocks)
    fewer = min(len(a_logs), len(b_logs))
    _check_count(fewer, confidence)
    rng = np.random.default_rng(seed)
    a_medians, b_medians = (list(_redrawn_medians(logs, rng)) for logs in (a_logs, b_logs))
    lengths = max(len(a_medians), len(b_medians))
    for medians in (a_medians, b_medians):
        medians += medians[-1:] * (lengths - len(medians))
    both = zip(a_medians, b_medians, strict=True)
    intervals = [_quantiles(a - b, confidence) for a, b in both]
    middle = float(np.median(a_logs) - np.median(b_logs))
    return _ratio(middle, intervals, fewer, confidence)


def _logs(durations: Sequence[float]) -> Floats:
    """Return logarithms: of them a ratio and its inverse are equally far from 1."""
    values = np.asarray(durations, np.float64)
    if not np.all(values > 0):
        raise ValueError("a duration is not above 0, and has no ratio to another")
    odd = values[(values < _SHORTEST) | (values > _LONGEST)]
    if odd.size:
        raise UsageError(
            f"a duration of {odd[0]:g} cannot be compared with another; give times as a stopwatch "
            "tells them, in ms"
        )
    return np.log(values)


def _check_count(count: int, confidence: float) -> None:
    least = least_pairs(confidence)
    if count < least:
        raise UsageError(
            f"{count} rounds cannot be compared with a confidence of {confidence:.1%}, {least} are "
            "needed; measure longer (--seconds)"
        )


def _redrawn_medians(logs: Floats, rng: np.random.Generator) -> Iterator[Floats]:
    """Give the medians of redrawn series: of single values, then of stretches of 2, 4, 8 ..."""
    count, length = len(logs), 1
    while length == 1 or length * _FEWEST_STRETCHES <= count:
        # The series is a ring: else its ends would be drawn less often than its middle.
        stretches = sliding_window_view(np.append(logs, logs[: length - 1]), length)
        begins = rng.integers(count, size=(_RESAMPLES, -(-count // length)))
        medians = _medians(stretches[begins].reshape(_RESAMPLES, -1)[:, :count])
        # The medians of n / length stretches spread too little, as any spread of few values does.
        middle = np.median(logs)
        yield middle + (medians - middle) * math.sqrt(count / (count - length))
        length *= 2


def _medians(rows: Floats) -> Floats:
    """Return the median of each row; sorting takes a seventh of the time of numpy.median."""
    in_order = np.sort(rows, axis=1)
    count = rows.shape[1]
    medians: Floats = (in_order[:, (count - 1) // 2] + in_order[:, count // 2]) / 2
    return medians


def _quantiles(logs: Floats, confidence: float) -> tuple[float, float]:
    low, high = np.quantile(logs, ((1 - confidence) / 2, (1 + confidence) / 2))
    return float(low), float(high)


def _ratio(
    middle: float, intervals: Sequence[tuple[float, float]], pairs: int, confidence: float
) -> Ratio:
    lows, highs = zip(*intervals, strict=True)
    placement = PLACEMENT * NormalDist().inv_cdf((1 + confidence) / 2)
    below = math.hypot(max(0.0, middle - min(lows)), placement)
    above = math.hypot(max(0.0, max(highs) - middle), placement)
    low, high = math.exp(middle - below), math.exp(middle + above)
    return Ratio(math.exp(middle), low, high, pairs, confidence)
