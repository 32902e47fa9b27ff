"""Whether the stream hides all that can be hidden behind the engine.

No run can beat either bound, whatever it overlaps:

    the engine's own time for each frame, and
    the CPU time of decode + engine + encode for each frame, spread evenly over all cores
    (without encode on the way to null://).

Each round measures the pieces alone and the whole, end to end into an H.264 file and into
null://, in one process with the same thread settings; every second round in reverse order. The
figures are medians of the rounds' ratios. A machine that is busy with something else gives the
whole less than its cores: run it on an idle one.
"""

from collections.abc import Callable
from dataclasses import asdict

from common import (
    MODELS,
    SAMPLE,
    Cost,
    Limit,
    Ratio,
    arguments,
    cost_of,
    median_and_range,
    paired_ratio,
    publish,
    result,
)
from pieces import Pieces, opened

from crispstream.core.machine import usable_cores

AT_MOST = {"end_to_end_over_bound": 1.10, "null_over_engine": 1.05}


def one_round(pieces: Pieces, *, reverse: bool) -> dict[str, Cost]:
    """Measure everything once, in order or the other way round."""
    steps: list[tuple[str, Callable[[], int]]] = [
        ("engine", pieces.engine),
        ("null", lambda: pieces.whole("null://").frames),
        ("decode", pieces.decode),
        ("encode", pieces.encode),
        ("whole", lambda: pieces.whole(str(pieces.target)).frames),
    ]
    return {name: cost_of(work) for name, work in (reversed(steps) if reverse else steps)}


def bound_ms(costs: dict[str, Cost], cores: int, pieces: tuple[str, ...]) -> float:
    """Return the least time a frame can take that goes through `pieces`."""
    cpu_ms = sum(costs[name].cpu_ms for name in pieces)
    return max(costs["engine"].wall_ms, cpu_ms / cores)


def measure(model: str, turns: int, rounds: int, threads: int | None) -> list[dict[str, Cost]]:
    """Return the costs of each round."""
    with opened(model, turns, threads) as pieces:
        one_round(pieces, reverse=False)  # warms up what the first run of anything pays for
        return [one_round(pieces, reverse=bool(index % 2)) for index in range(rounds)]


def ratios(taken: list[dict[str, Cost]]) -> dict[str, Ratio]:
    """Return what the rounds say about overlap."""
    cores = usable_cores()
    bounds = [bound_ms(costs, cores, ("decode", "engine", "encode")) for costs in taken]
    null_bounds = [bound_ms(costs, cores, ("decode", "engine")) for costs in taken]
    wall_ms = {name: [costs[name].wall_ms for costs in taken] for name in taken[0]}
    return {
        "end_to_end_over_bound": paired_ratio(wall_ms["whole"], bounds),
        "null_over_engine": paired_ratio(wall_ms["null"], wall_ms["engine"]),
        "null_over_bound": paired_ratio(wall_ms["null"], null_bounds),
    }


def main() -> None:
    """Measure each model."""
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--turns", type=int, default=3, help="of the sample's 30 frames")
    parser.add_argument("--threads", type=int, help="of the engine; every core by default")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    chosen = parser.parse_args()
    figures: dict[str, object] = {}
    limits = {}
    for model in chosen.models:
        taken = measure(model, chosen.turns, chosen.rounds, chosen.threads)
        for name, ratio in ratios(taken).items():
            figures[f"{model}_{name}"] = asdict(ratio)
            if name in AT_MOST:
                limits[f"{model}_{name}"] = Limit(ratio.median, AT_MOST[name])
        for name in taken[0]:
            costs = [asdict(costs[name]) for costs in taken]
            figures[f"{model}_{name}_per_frame"] = {
                key: median_and_range([cost[key] for cost in costs]) for key in costs[0]
            }
    settings = {
        "rounds": chosen.rounds,
        "turns": chosen.turns,
        "threads": chosen.threads,
        "source": f"{SAMPLE.name}, looped",
    }
    publish(result("overlap", settings=settings, figures=figures, limits=limits), chosen)


if __name__ == "__main__":
    main()
