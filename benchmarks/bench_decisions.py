"""How often `crispstream bench` is right: the same twice is no difference, a slowdown is found.

100 benches of each kind are simulated, on a machine that drifts by 2x, has neighbours and spikes
(simulated_machine.py), with the rounds that two variants of edge-n have in the default 20 s; what
fewer rounds find is published too, and what a plain bootstrap would find, which draws single rounds
as if each were independent of the one before. 20 of each kind are run: edge-n in int8-cpu, opened
twice, and with a second one that waits busily until 15 % more time has passed. A run counts as
right if all its scopes are.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
from common import Limit, arguments, publish, result, sample_frames
from simulated_machine import Floats, simulated_rounds, wandering

from crispstream.core.clock import monotonic_ns
from crispstream.core.pixels import Bytes
from crispstream.runtime.engine.backends.base import Backend
from crispstream.runtime.engine.opening import Opened, open_model
from crispstream.runtime.measure.bench import statistics
from crispstream.runtime.measure.bench.bench import DEFAULT_BLOCK, run_bench
from crispstream.runtime.measure.bench.record import Settings
from crispstream.runtime.measure.bench.statistics import CONFIDENCE, paired_ratio
from crispstream.runtime.measure.bench.subjects import subject_of
from crispstream.runtime.measure.figures import Ratio
from crispstream.runtime.restorer import Restorer

MODEL, PRECISION = "edge-n", "int8"
SIMULATED, REAL = 100, 20
DEFAULT_ROUNDS = 150
FEWER_ROUNDS = (8, 24, 40, 60, 100)
SIMULATED_SLOWDOWN, REAL_SLOWDOWN = 1.05, 1.15
WANDERS_ALONE = 0.08
"""Standard deviation of what only one variant feels, from round to round much the same."""
SAME, SLOWER = "no difference", "slower"


def simulated(slowdown: float, rounds: int, seed: int) -> dict[str, list[Ratio]]:
    """Return the ratios of simulated benches, and those that single rounds would give."""
    base, other = simulated_rounds(seed, SIMULATED, rounds, DEFAULT_BLOCK, slowdown)
    return compared(base, other)


def simulated_wandering(rounds: int, seed: int) -> dict[str, list[Ratio]]:
    """Return the ratios of two that are the same, of which one wanders by itself.

    As where a core that only one of them uses slows down and recovers.
    """
    base, other = simulated_rounds(seed, SIMULATED, rounds, DEFAULT_BLOCK)
    alone = wandering(np.random.default_rng(seed), other.shape, WANDERS_ALONE)
    return compared(base, other * np.exp(alone))


def compared(base: Floats, other: Floats) -> dict[str, list[Ratio]]:
    """Return the ratios of rounds [R,N] of R benches, by method."""
    pairs = list(zip(base, other, strict=True))
    return {
        "": [paired_ratio(b, a) for a, b in pairs],
        "_by_single_rounds": [by_single_rounds(b, a) for a, b in pairs],
    }


def by_single_rounds(numerators: Floats, denominators: Floats) -> Ratio:
    """Compare as `paired_ratio` does, but by a plain bootstrap, which draws no stretches."""
    logs = np.log(numerators) - np.log(denominators)
    medians = next(statistics._redrawn_medians(logs, np.random.default_rng(0)))
    interval = statistics._quantiles(medians, CONFIDENCE)
    return statistics._ratio(float(np.median(logs)), [interval], len(logs), CONFIDENCE)


class SlowedBackend:
    """A backend that works as another one, and then waits busily for a share of that time."""

    def __init__(self, inner: Backend, slowdown: float) -> None:
        """Take ownership of a backend."""
        self._inner = inner
        self._slowdown = slowdown

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        """Return what the other one has."""
        return getattr(self._inner, name)

    def submit(self, slot: int) -> None:
        """Run the graph, and wait."""
        begun_ns = monotonic_ns()
        self._inner.submit(slot)
        until_ns = begun_ns + self._slowdown * (monotonic_ns() - begun_ns)
        while monotonic_ns() < until_ns:
            pass


def real(slowdown: float, frames: Sequence[Bytes], seconds: float) -> dict[str, Ratio]:
    """Run a bench of a model and a second one; return the ratio of each scope."""
    height, width, _ = frames[0].shape
    settings = Settings((width, height), seconds, 1, 200.0, DEFAULT_BLOCK)
    with ExitStack() as stack:
        restorers = [
            stack.enter_context(Restorer(opened)) for opened in (_opened(1.0), _opened(slowdown))
        ]
        for restorer in restorers:
            restorer.reserve(width, height)
        subjects = [subject_of(each, name) for each, name in zip(restorers, "AB", strict=True)]
        return dict(run_bench(subjects, settings, frames).ratios["B"])


def _opened(slowdown: float) -> Opened:
    opened = open_model(MODEL, PRECISION)
    if slowdown == 1.0:
        return opened
    slowed: Any = SlowedBackend(opened.backend, slowdown)
    return opened._replace(backend=slowed)


def many(once: Callable[[], dict[str, Ratio]], count: int, right: str) -> dict[str, Any]:
    """Run so many benches; return how many said what is right, and what they found."""
    found = [once() for _ in range(count)]
    by_scope = {scope: [each[scope] for each in found] for scope in found[0]}
    return {
        "right": sum(all(ratio.verdict == right for ratio in each.values()) for each in found),
        "of": count,
        "right_by_scope": {
            scope: sum(ratio.verdict == right for ratio in ratios)
            for scope, ratios in by_scope.items()
        },
        "median_ratios": {
            scope: sorted(round(ratio.median, 4) for ratio in ratios)
            for scope, ratios in by_scope.items()
        },
        "median_interval_width": {
            scope: float(np.median([ratio.high - ratio.low for ratio in ratios]))
            for scope, ratios in by_scope.items()
        },
        "fewest_rounds": min(ratio.pairs for each in found for ratio in each.values()),
    }


def simulate() -> tuple[dict[str, Any], dict[str, Limit]]:
    """Return the figures and limits of what is simulated."""
    figures: dict[str, Any] = {}
    for rounds in (*FEWER_ROUNDS, DEFAULT_ROUNDS):
        same = simulated(1.0, rounds, seed=1)
        slower = simulated(SIMULATED_SLOWDOWN, rounds, seed=2)
        for method, of_same in same.items():
            figures[f"simulated_{rounds}_rounds{method}"] = {
                "same_is_no_difference": sum(ratio.verdict == SAME for ratio in of_same),
                "slowdown_is_found": sum(ratio.verdict == SLOWER for ratio in slower[method]),
                "of": SIMULATED,
                "median_interval_width": float(np.median([r.high - r.low for r in of_same])),
            }
    alone = simulated_wandering(DEFAULT_ROUNDS, seed=3)
    figures["simulated_one_wanders_alone"] = {
        f"same_is_no_difference{method}": sum(ratio.verdict == SAME for ratio in ratios)
        for method, ratios in alone.items()
    }
    at_default = figures[f"simulated_{DEFAULT_ROUNDS}_rounds"]
    names = ("same_is_no_difference", "slowdown_is_found")
    return figures, {f"simulated_{name}": Limit(at_default[name], at_least=95) for name in names}


def main() -> None:
    """Simulate, then run."""
    parser = arguments(__doc__)
    parser.add_argument("--benches", type=int, default=REAL, help="real ones of each kind")
    parser.add_argument("--seconds", type=float, default=9.0, help="of each real bench")
    chosen = parser.parse_args()
    if chosen.benches < 1 or chosen.seconds <= 0:
        parser.error("--benches must be 1 or more, --seconds more than 0")
    if chosen.save and chosen.benches < REAL:
        parser.error(f"--save takes {REAL} --benches: what is claimed is of so many")
    figures, limits = simulate()
    frames = sample_frames()
    for name, slowdown, right in (
        ("real_same_is_no_difference", 1.0, SAME),
        ("real_slowdown_is_found", REAL_SLOWDOWN, SLOWER),
    ):
        found = many(lambda by=slowdown: real(by, frames, chosen.seconds), chosen.benches, right)
        figures[name] = found
        limits[name] = Limit(found["right"], at_least=chosen.benches - 1)
    settings = {
        "model": f"{MODEL} {PRECISION}",
        "block": DEFAULT_BLOCK,
        "default_rounds": DEFAULT_ROUNDS,
        "benches": chosen.benches,
        "seconds": chosen.seconds,
        "confidence": CONFIDENCE,
        "simulated_slowdown": SIMULATED_SLOWDOWN,
        "simulated_wanders_alone": WANDERS_ALONE,
        "real_slowdown": REAL_SLOWDOWN,
    }
    publish(result("bench_decisions", settings=settings, figures=figures, limits=limits), chosen)


if __name__ == "__main__":
    main()
