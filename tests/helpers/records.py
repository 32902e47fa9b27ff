"""Records as the commands make them, of figures drawn from seeds: none of it was measured.

`bench_record()`: two precisions of edge-s and a slower edge-m, three scopes, a deadline. Those of
profile and plan are in layer_records.py.
"""

import itertools
import random
from collections.abc import Sequence

from crispstream.runtime.latency import Histogram
from crispstream.runtime.measure.bench.record import (
    SCOPES,
    BenchRecord,
    Measured,
    Settings,
    Variant,
)
from crispstream.runtime.measure.figures import (
    PERCENTILES,
    Misses,
    Moment,
    Observer,
    Ratio,
    Reading,
    Spread,
)
from crispstream.runtime.measure.host import Host

MS = 1_000_000
CREATED = "2025-06-01T12:00:00+00:00"
HOST = Host(
    processor="Example CPU E-1234 v5 @ 2.40 GHz",
    cores=2,
    system="Linux 6.1.0 x86_64",
    python="3.11.7",
    packages={"crispstream": "0.1.0", "onnxruntime": "1.20.0", "av": "15.0.0", "numpy": "2.1.0"},
)


def durations(median_ms: float, count: int, seed: int = 0, spread: float = 0.04) -> list[float]:
    """Durations in ms around a median: skewed, with a spike now and then."""
    dice = random.Random(seed)
    drawn = [median_ms * (1 + spread * dice.gauss(0, 0.5) ** 2) for _ in range(count)]
    return [value * dice.uniform(1.5, 3) if dice.random() < 0.006 else value for value in drawn]


def spread_of(durations_ms: Sequence[float]) -> Spread:
    """The spread of durations in ms."""
    histogram = Histogram()
    for duration_ms in durations_ms:
        histogram.record(round(duration_ms * MS))
    pairs = list(itertools.pairwise(durations_ms))
    return Spread(
        count=len(durations_ms),
        mean_ms=histogram.mean_ms,
        min_ms=min(durations_ms, default=0.0),
        max_ms=histogram.max_ms,
        percentiles_ms={f"{q:g}": histogram.percentile_ms(q) for q in PERCENTILES},
        jitter_ms=sum(abs(b - a) for a, b in pairs) / len(pairs) if pairs else 0.0,
        buckets=tuple(histogram.buckets()),
    )


def moments_of(values: Sequence[float], seconds: float, bins: int = 60) -> tuple[Moment, ...]:
    """Values spread evenly over a run, in stretches."""
    size = max(1, -(-len(values) // bins))
    parts = [values[first : first + size] for first in range(0, len(values), size)]
    long = seconds / max(len(parts), 1)
    return tuple(
        Moment(index * long, long, len(part), sum(part) / len(part), min(part), max(part))
        for index, part in enumerate(parts)
    )


def _measured(median_ms: float, seed: int, deadline_ms: float | None, frames: int) -> Measured:
    drawn_ms = durations(median_ms, frames, seed)
    spread = spread_of(drawn_ms)
    missed = sum(value > deadline_ms for value in drawn_ms) if deadline_ms else 0
    return Measured(
        spread=spread,
        rounds_ms=tuple(sorted(drawn_ms[at : at + 8])[4] for at in range(0, frames - 8, 8)),
        timeline=moments_of(drawn_ms, 20.0),
        frames_per_second=1000 / spread.mean_ms if spread.mean_ms else 0.0,
        misses=Misses(deadline_ms, missed, frames, min(missed, 2)) if deadline_ms else None,
    )


def bench_record(deadline_ms: float | None = 33.0, frames: int = 240) -> BenchRecord:
    """Three variants, every scope; the second is faster than the first, the third slower."""
    models = (("edge-s", "fp32", 21.4), ("edge-s", "int8-cpu", 10.9), ("edge-m", "int8-cpu", 24.8))
    extra_ms = {"engine": 0.0, "copies": 0.45, "end_to_end": 1.1}
    variants = tuple(
        Variant(
            name=f"{model} {precision}",
            model=model,
            precision=precision,
            backend="onnxruntime-cpu",
            graph_sha256=f"{index}f" * 32,
            why=f"onnxruntime-cpu runs {precision}: no NVIDIA GPU was found",
            warm_up_frames=18,
            first_frame_ms=3 * median_ms,
            scopes={
                scope: _measured(median_ms + more_ms, 10 * index, deadline_ms, frames)
                for scope, more_ms in extra_ms.items()
            },
        )
        for index, (model, precision, median_ms) in enumerate(models)
    )
    ratios = {
        variant.name: {scope: _ratio(variants[0], variant, scope) for scope in SCOPES}
        for variant in variants[1:]
    }
    return BenchRecord(
        settings=Settings((320, 180), 20.0, 50, 200.0, 8, deadline_ms=deadline_ms, threads=2),
        variants=variants,
        ratios=ratios,
        readings=readings(),
        observer=Observer(0.0004, "an empty call was timed the same way", {"call_us": 0.42}),
        host=HOST,
        created=CREATED,
        notes=("the processor was busy with something else in 3 of 40 readings",),
    )


def _ratio(first: Variant, other: Variant, scope: str) -> Ratio:
    pairs = zip(other.scopes[scope].rounds_ms, first.scopes[scope].rounds_ms, strict=True)
    ratios = sorted(above_ms / below_ms for above_ms, below_ms in pairs)
    middle = ratios[len(ratios) // 2]
    return Ratio(middle, 0.985 * middle, 1.018 * middle, len(ratios))


def readings(count: int = 40, seconds: float = 20.0) -> tuple[Reading, ...]:
    """What a GPU and a CPU would tell: warming up, throttled a little at the end."""
    dice = random.Random(7)
    return tuple(
        Reading(
            seconds * index / count,
            {
                "gpu_clock_mhz": 1020.0 if index < count - 3 else 830.0,
                "gpu_power_w": 11 + dice.random(),
                "gpu_temperature_c": 48 + 20 * index / count,
                "gpu_throttle": "" if index < count - 3 else "thermal",
                "cpu_clock_mhz": 2400.0,
                "load_average": 1.9 + 0.2 * dice.random(),
            },
        )
        for index in range(count)
    )
