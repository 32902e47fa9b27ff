"""How often `crispstream compare` finds a difference between two separate runs of the same thing.

Real: benches of edge-n int8, a process each, one after the other. Each is compared with the next,
and with the one 20 later. There is no difference to be found, so what is found is the machine's.
Simulated: rounds with 2 % of noise and 3 % of drift inside of each run, by how long a disturbance
lasts; between the runs nothing changes. No limit is promised for either: two runs that are not
interleaved cannot tell a slower machine from slower code.
"""

import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import arguments, publish, result
from crispstream.runtime.measure.bench.record import BenchRecord
from crispstream.runtime.measure.bench.statistics import unpaired_ratio
from crispstream.runtime.measure.comparing.compare import compare_records
from crispstream.runtime.measure.comparing.record import Row
from crispstream.runtime.measure.records import read_record

PAIRS = 20
SECONDS = 2.0
MODEL, PRECISION = "edge-n", "int8"

_SIMULATED = 100
_ROUNDS = 60
_NOISE, _DRIFT = 0.02, 0.03
_LASTING = (50, 20, 10, 5)
"""A disturbance fades within the run over this many."""


def benched(path: Path) -> BenchRecord:
    """Run a bench in a process of its own, the network alone, and return its record."""
    command = [sys.executable, "-m", "crispstream.cli.main", "bench", MODEL]
    wanted = ["--precision", PRECISION, "--scopes", "engine", "--seconds", str(SECONDS)]
    subprocess.run(
        [*command, *wanted, "--json", "--report", str(path)], check=True, capture_output=True
    )
    record = read_record(path)
    assert isinstance(record, BenchRecord)
    return record


def benches(count: int) -> list[BenchRecord]:
    """Return the records of so many benches, one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        return [benched(Path(folder) / f"{number}.json") for number in range(count)]


def row_of(a: BenchRecord, b: BenchRecord) -> Row:
    """Return the one row of two benches."""
    (row,) = compare_records(a, b, "a.json", "b.json").rows
    return row


def counted(rows: Sequence[Row]) -> dict[str, Any]:
    """Return how often which verdict was given, and how far the medians were apart."""
    verdicts = Counter(row.verdict for row in rows)
    apart = [abs(row.b_ms / row.a_ms - 1) for row in rows]
    widths = [row.tested.high / row.tested.low - 1 for row in rows if row.tested]
    return {
        "pairs": len(rows),
        **{verdict.replace(" ", "_"): count for verdict, count in sorted(verdicts.items())},
        "median_apart_percent": 100 * float(np.median(apart)),
        "most_apart_percent": 100 * max(apart),
        "interval_width_percent": 100 * float(np.median(widths)),
    }


def drifting(rng: np.random.Generator, lasting: int) -> np.ndarray[Any, Any]:
    """Return the rounds of a simulated run, ms."""
    keeps = np.exp(-lasting / _ROUNDS)
    drift = [rng.normal()]
    for _ in range(_ROUNDS - 1):
        drift.append(keeps * drift[-1] + np.sqrt(1 - keeps**2) * rng.normal())
    noise = np.abs(rng.normal(size=_ROUNDS))
    return 10 * np.exp(_DRIFT * np.array(drift) + _NOISE * noise)


def simulated() -> Iterator[tuple[str, int]]:
    """Yield how long disturbances last -> verdicts "no difference" of 100 pairs of runs."""
    for lasting in _LASTING:
        same = 0
        for seed in range(_SIMULATED):
            rng = np.random.default_rng(seed)
            a, b = drifting(rng, lasting).tolist(), drifting(rng, lasting).tolist()
            same += unpaired_ratio(b, a).verdict == "no difference"
        yield f"a_{lasting}th_of_the_run", same


def main() -> None:
    """Measure, simulate, and print or save."""
    chosen = arguments(__doc__ or "").parse_args()
    records = benches(2 * PAIRS)
    settings = {"model": MODEL, "precision": PRECISION, "seconds": SECONDS, "confidence": 0.99}
    figures = {
        "one_after_the_other": counted(
            [row_of(a, b) for a, b in zip(records[::2], records[1::2], strict=True)]
        ),
        "20_runs_apart": counted(
            [row_of(a, b) for a, b in zip(records[:PAIRS], records[PAIRS:], strict=True)]
        ),
        "simulated_no_difference_of_100": dict(simulated()),
    }
    publish(result("compare_runs", settings=settings, figures=figures, limits={}), chosen)


if __name__ == "__main__":
    main()
