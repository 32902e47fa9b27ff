"""Ratios of noisy series: what they say, and how often that is right on a simulated machine."""

import numpy as np
import pytest

from benchmarks.simulated_machine import simulated_rounds
from crispstream.core.errors import UsageError
from crispstream.runtime.measure.bench.statistics import (
    PLACEMENT,
    least_pairs,
    paired_ratio,
    unpaired_ratio,
)
from crispstream.runtime.measure.figures import Ratio

RUNS = 100
ROUNDS, BLOCK = 150, 3
"""Of two variants of edge-n in a default run of 20 s."""


def noise(
    seed: int, count: int, sigma: float = 0.03
) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.exp(sigma * np.random.default_rng(seed).standard_normal(count))


def verdicts(ratios: list[Ratio]) -> dict[str, int]:
    said = [ratio.verdict for ratio in ratios]
    return {verdict: said.count(verdict) for verdict in set(said)}


@pytest.mark.slow
def test_the_same_twice_is_no_difference_and_a_slowdown_of_5_percent_is_found() -> None:
    base, again = simulated_rounds(seed=1, runs=RUNS, rounds=ROUNDS, block=BLOCK)
    _, slower = simulated_rounds(2, RUNS, ROUNDS, BLOCK, slowdown=1.05)
    other_base, _ = simulated_rounds(2, RUNS, ROUNDS, BLOCK)
    same = [paired_ratio(b, a) for a, b in zip(base, again, strict=True)]
    planted = [paired_ratio(b, a) for a, b in zip(other_base, slower, strict=True)]
    assert verdicts(same).get("no difference", 0) >= 95, verdicts(same)
    assert verdicts(planted).get("slower", 0) >= 95, verdicts(planted)


@pytest.mark.parametrize("rounds", [8, 12, 40])
def test_few_rounds_widen_the_interval_and_find_nothing_that_is_not_there(rounds: int) -> None:
    base, again = simulated_rounds(3, RUNS, rounds, BLOCK)
    same = [paired_ratio(b, a) for a, b in zip(base, again, strict=True)]
    assert verdicts(same).get("no difference", 0) >= 95, verdicts(same)


def test_what_slows_one_variant_for_many_rounds_in_a_row_widens_the_interval() -> None:
    in_a_row = np.repeat(noise(4, 16, 0.05), 10)
    mixed = np.random.default_rng(5).permutation(in_a_row)
    base = np.ones(in_a_row.size)
    wide, narrow = paired_ratio(in_a_row, base), paired_ratio(mixed, base)
    assert wide.high / wide.low - 1 > 1.3 * (narrow.high / narrow.low - 1)


def test_pairing_takes_out_what_both_felt() -> None:
    machine = 1 + np.arange(40) % 10
    ratio = paired_ratio(1.2 * machine * noise(6, 40, 0.01), machine * noise(7, 40, 0.01))
    assert ratio.low < 1.2 < ratio.high
    assert ratio.high - ratio.low < 0.1
    assert (ratio.pairs, ratio.confidence, ratio.verdict) == (40, 0.99, "slower")


def test_a_single_spike_moves_nothing() -> None:
    calm = noise(8, 30, 0.01)
    spiked = calm.copy()
    spiked[11] *= 50
    assert paired_ratio(spiked, np.ones(30)).median == pytest.approx(
        paired_ratio(calm, np.ones(30)).median, rel=0.01
    )


def test_a_ratio_and_its_inverse_say_the_same() -> None:
    a, b = 1.1 * noise(9, 60), noise(10, 60)
    forth, back = paired_ratio(a, b), paired_ratio(b, a)
    assert back.median == pytest.approx(1 / forth.median)
    assert (back.low, back.high) == pytest.approx((1 / forth.high, 1 / forth.low), rel=0.01)
    assert (forth.verdict, back.verdict) == ("slower", "faster")


def test_the_seed_decides() -> None:
    a, b = noise(11, 50), noise(12, 50)
    assert paired_ratio(a, b, seed=1) == paired_ratio(a, b, seed=1)
    assert paired_ratio(a, b, seed=1) != paired_ratio(a, b, seed=2)


def test_surer_is_wider() -> None:
    a, b = noise(13, 50), noise(14, 50)
    widths = [
        ratio.high - ratio.low
        for ratio in (paired_ratio(a, b, confidence=share) for share in (0.8, 0.95, 0.99))
    ]
    assert widths == sorted(widths)
    assert widths[0] < widths[-1]


def test_what_placement_can_make_is_no_difference_however_still_the_machine() -> None:
    still = [2.0] * 20
    within = paired_ratio([2.0 * (1 + 2 * PLACEMENT)] * 20, still)
    beyond = paired_ratio([2.0 * (1 + 4 * PLACEMENT)] * 20, still)
    assert within.median == pytest.approx(1 + 2 * PLACEMENT)
    assert (within.verdict, beyond.verdict) == ("no difference", "slower")


def test_too_few_rounds_are_refused_with_what_to_do() -> None:
    assert paired_ratio([1.0] * 8, [1.0] * 8).verdict == "no difference"
    with pytest.raises(UsageError, match=r"7 rounds .* 8 are needed; measure longer \(--seconds\)"):
        paired_ratio([1.0] * 7, [1.0] * 7)
    with pytest.raises(UsageError, match="3 rounds"):
        unpaired_ratio([1.0] * 20, [1.0] * 3)
    assert least_pairs(0.99) == 8
    assert paired_ratio([1.0] * 5, [1.0] * 5, confidence=0.9).pairs == 5


def test_series_that_cannot_be_compared_are_a_fault_of_the_program() -> None:
    with pytest.raises(ValueError, match="above 0"):
        paired_ratio([1.0] * 7 + [0.0], [1.0] * 8)
    with pytest.raises(ValueError, match="shape"):
        paired_ratio([1.0] * 9, [1.0] * 8)


def test_two_runs_that_differ_by_a_fifth_are_told_apart() -> None:
    ratio = unpaired_ratio(1.2 * noise(15, 40), noise(16, 60))
    assert (ratio.verdict, ratio.pairs) == ("slower", 40)
    assert ratio.low < 1.2 < ratio.high
    assert unpaired_ratio(noise(17, 40), noise(18, 60)).verdict == "no difference"


def test_two_runs_on_a_machine_that_drifts_are_not_told_apart() -> None:
    """One run met the slow half of a drift more than the other: nothing of the graphs."""
    drift = 1 + 0.3 * np.sin(np.linspace(0, 2 * np.pi, 60))
    later = 1 + 0.3 * np.sin(np.linspace(0.7, 0.7 + 2 * np.pi, 60))
    assert unpaired_ratio(drift * noise(19, 60), later * noise(20, 60)).verdict == "no difference"
    mixed = np.random.default_rng(21).permutation(drift)
    wide, narrow = (unpaired_ratio(each, np.ones(60)) for each in (drift, mixed))
    assert wide.high - wide.low > 1.3 * (narrow.high - narrow.low)


def test_a_short_run_does_not_hide_how_a_long_one_drifts() -> None:
    """The stretches of 8 rounds are short; those of the 160 they are compared with are not."""
    drifting = np.repeat(noise(23, 8, 0.05), 20) * noise(24, 160, 0.002)
    mixed = np.random.default_rng(25).permutation(drifting)
    quiet = noise(26, 160, 0.002)
    long, short = (unpaired_ratio(drifting, quiet[:count]) for count in (160, 8))
    of_mixed = unpaired_ratio(mixed, quiet[:8])
    assert short.high - short.low > 0.9 * (long.high - long.low)
    assert short.high - short.low > 1.3 * (of_mixed.high - of_mixed.low)
    assert unpaired_ratio(quiet[:8], drifting).low == pytest.approx(1 / short.high, rel=0.01)


@pytest.mark.parametrize("confidence", [0.3, 0.99995, 1 - 2**-53, 1.0, 2.0, float("nan")])
def test_a_confidence_that_no_interval_has_is_refused(confidence: float) -> None:
    for asked in (
        lambda: least_pairs(confidence),
        lambda: paired_ratio([1.0] * 80, [1.0] * 80, confidence=confidence),
        lambda: unpaired_ratio([1.0] * 80, [1.0] * 80, confidence=confidence),
    ):
        with pytest.raises(UsageError, match=r"cannot be had; give one from 0\.5 to 0\.9999"):
            asked()


@pytest.mark.parametrize("odd", [1e-300, 1e300, float("inf")])
def test_what_no_stopwatch_tells_is_refused(odd: float) -> None:
    for a, b in (([odd] * 8, [1.0] * 8), ([1.0] * 8, [odd] * 8)):
        for compare in (paired_ratio, unpaired_ratio):
            with pytest.raises(UsageError, match=r"a duration of .* cannot be compared"):
                compare(a, b)


def test_separate_simulated_runs_of_the_same_are_no_difference() -> None:
    runs, _ = simulated_rounds(22, 40, 40, BLOCK)
    said = verdicts([unpaired_ratio(a, b) for a, b in zip(runs[::2], runs[1::2], strict=True)])
    assert said.get("no difference", 0) >= 19, said
