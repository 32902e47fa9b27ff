"""CPU time of decoding, restoring and encoding a frame, 320x180 to 1280x720, each alone.

CPU time counts all threads of the process, so it says what a frame costs on any number of
cores and hardly feels what else the machine does. Pieces take turns; the medians are added.
"""

from collections.abc import Callable
from functools import partial

from common import MODELS, SAMPLE, Limit, arguments, cost_of, median_and_range, publish, result
from pieces import Pieces, opened

AT_MOST_MS = {"edge-n": 80.0, "edge-s": 160.0}
PIECES: dict[str, Callable[[Pieces], int]] = {
    "decode": Pieces.decode,
    "engine": Pieces.engine,
    "encode": Pieces.encode,
}


def measure(model: str, turns: int, repeats: int) -> dict[str, dict[str, float]]:
    """Return piece -> CPU milliseconds a frame: median and range."""
    cpu_ms: dict[str, list[float]] = {name: [] for name in PIECES}
    with opened(model, turns) as pieces:
        for _ in range(repeats):
            for name, piece in PIECES.items():
                cpu_ms[name].append(cost_of(partial(piece, pieces)).cpu_ms)
    return {name: median_and_range(values) for name, values in cpu_ms.items()}


def main() -> None:
    """Measure each model."""
    parser = arguments(__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--turns", type=int, default=2, help="of the sample's 30 frames")
    chosen = parser.parse_args()
    figures: dict[str, object] = {}
    limits = {}
    for model in MODELS:
        pieces = measure(model, chosen.turns, chosen.repeats)
        total_ms = sum(piece["median"] for piece in pieces.values())
        figures |= {f"{model}_{name}_cpu_ms": piece for name, piece in pieces.items()}
        figures[f"{model}_total_cpu_ms"] = total_ms
        limits[f"{model}_cpu_ms_per_frame"] = Limit(total_ms, AT_MOST_MS[model])
    settings = {"repeats": chosen.repeats, "turns": chosen.turns, "source": SAMPLE.name}
    publish(result("cpu_per_frame", settings=settings, figures=figures, limits=limits), chosen)


if __name__ == "__main__":
    main()
