"""What the live path promises: fresh frames for ever, nothing lost in files, little overhead.

latest    a source twice as fast as the engine, for minutes: how old each frame is when it is
          restored, in times of the engine, whether every frame is accounted for, and whether
          memory stays flat
all       10,000 frames in, 10,000 out, in order, with their own times
overhead  an engine that takes 1, 5 or 10 ms for a frame, and frames further apart than that:
          what a frame takes from capture to the sink beyond the engine's own time. `bare` is one
          sink; `everything` is a ladder that takes its turns at a shared engine, a deadline and
          books. Beside that, without a limit since it is work on pixels: `cuts` looks for scene
          cuts, as for a recurrent network, and `two_sinks` has a second sink, so that each copies
          its frames of 1280x720. The engine is a sleep, whose own lateness is measured too.
"""

import statistics
from typing import Any

from common import Limit, arguments, publish, result
from fixed_engine import HEIGHT, WIDTH, FixedEngine, SkippingSink, StampSink
from memory import resident_bytes

from crispstream.runtime.restorer import Restorer
from crispstream.runtime.stream.cameras.turns import SharedRestorer, Turns
from crispstream.runtime.stream.cut import CutDetector
from crispstream.runtime.stream.ladder.ladder import Ladder
from crispstream.runtime.stream.ledger import Ledger
from crispstream.runtime.stream.loop import run_stream
from crispstream.runtime.stream.outcome import StreamReport
from crispstream.runtime.stream.sink import Sink
from crispstream.runtime.stream.sinks.null import NullSink
from crispstream.runtime.stream.source import open_source

AT_MOST_AGE = 2.0
AT_MOST_MEMORY = 1.02
AT_MOST_ADDED_MS = 0.3
FRAMES = 10_000
ENGINES_MS = (1, 5, 10)
WAYS = ("bare", "everything", "cuts", "two_sinks")
LIMITED = WAYS[:2]
_EARLY_SECONDS = 20


def latest(model: str, seconds: float) -> tuple[dict[str, Any], dict[str, Limit]]:
    """Run a real model on a camera twice as fast as it is."""
    with Restorer.open(model, size=(WIDTH, HEIGHT), frames_in_flight=3) as restorer:
        fps = round(2 / _engine_seconds(restorer))
        source = open_source(
            f"synth://pattern?size={WIDTH}x{HEIGHT}&fps={fps}&live=1&frames=10000000"
        )
        ledger, sizes = Ledger(source.health), []

        def look(count: int, _latencies: object) -> None:
            if count % fps == 0 and ledger.snapshot().seconds > min(_EARLY_SECONDS, seconds / 2):
                sizes.append(resident_bytes())

        report = run_stream(
            source, restorer, NullSink(), policy="latest", ledger=ledger, seconds=seconds,
            on_frame=look,
        )  # fmt: skip
        engine = restorer.latencies["infer"]
        figures = {
            "source_fps": fps,
            "seconds": seconds,
            "engine_p50_ms": engine.percentile_ms(50),
            "engine_p99_ms": engine.percentile_ms(99),
            "age_p50_ms": ledger.ages.percentile_ms(50),
            "age_p99_ms": ledger.ages.percentile_ms(99),
            "age_max_ms": ledger.ages.max_ms,
            "captured": report.captured,
            "restored": report.frames,
            "dropped": dict(report.drops),
            "resident_bytes_first_last": [sizes[0], sizes[-1]],
        }
    figures["age_p99_over_engine_p50"] = figures["age_p99_ms"] / figures["engine_p50_ms"]
    limits = {
        "age_p99_over_engine_p99": Limit(
            ledger.ages.percentile_ms(99) / engine.percentile_ms(99), AT_MOST_AGE
        ),
        "age_max_over_engine_max": Limit(ledger.ages.max_ms / engine.max_ms, AT_MOST_AGE),
        "memory_last_over_first": Limit(sizes[-1] / sizes[0], AT_MOST_MEMORY),
        "frames_unaccounted_for": Limit(unaccounted(report), 0),
    }
    return figures, limits


def _engine_seconds(restorer: Restorer) -> float:
    """Return what a frame takes, the median of a few."""
    source = open_source(f"synth://pattern?size={WIDTH}x{HEIGHT}&frames=30")
    for frame in source:
        restorer.restore(frame.pixels_hwc)
    return restorer.latencies["infer"].percentile_ms(50) / 1000


def unaccounted(report: StreamReport) -> int:
    """Return how many captured frames are neither restored nor dropped for a cause."""
    dropped = sum(count for cause, count in report.drops.items() if cause not in ("source", "sink"))
    return abs(report.captured - report.frames - dropped)


def everything() -> tuple[dict[str, Any], dict[str, Limit]]:
    """Send 10,000 frames through under `all`."""
    engine = FixedEngine(0.05)
    sink = StampSink(engine)
    source = open_source(f"synth://pattern?size={WIDTH}x{HEIGHT}&frames={FRAMES}")
    report = run_stream(source, engine, sink)
    figures = {"frames_in": report.captured, "frames_out": len(sink.pts)}
    limits = {
        "frames_lost": Limit(abs(FRAMES - len(sink.pts)), 0),
        "frames_out_of_order_or_time": Limit(sum(pts != at for at, pts in enumerate(sink.pts)), 0),
    }
    return figures, limits


def overhead(engine_ms: float, seconds: float, way: str) -> tuple[FixedEngine, StampSink]:
    """Run frames that are further apart than the engine takes; `way` is one of `WAYS`."""
    engine = FixedEngine(engine_ms)
    sink = StampSink(engine)
    fps = round(1000 / (2 * engine_ms + 2))
    source = open_source(f"synth://pattern?size={WIDTH}x{HEIGHT}&fps={fps}&live=1&frames=1000000")
    if way == "bare":
        run_stream(source, engine, sink, policy="latest", seconds=seconds)
        return engine, sink
    sinks: dict[str, Sink] = {"first": sink}
    if way == "two_sinks":
        sinks["second"] = SkippingSink()
    ladder = Ladder([engine], budget_ms=1000)
    ladder.reserve(WIDTH, HEIGHT)
    shared = SharedRestorer(ladder, Turns())
    run_stream(
        source, shared, sinks, policy="deadline",
        budget_ms=1000, is_cut=CutDetector() if way == "cuts" else None, on_outcome=ladder.observe,
        on_frame=lambda _count, _latencies: None, seconds=seconds,
    )  # fmt: skip
    return engine, sink


def overheads(seconds: float, rounds: int) -> tuple[dict[str, Any], dict[str, Limit]]:
    """Measure each engine in each way, in turns; the figures are medians over the rounds."""
    taken: dict[str, list[dict[str, float]]] = {}
    for _ in range(rounds):
        for engine_ms in ENGINES_MS:
            for way in WAYS:
                row = _one_overhead(engine_ms, seconds, way)
                taken.setdefault(f"{engine_ms}_ms_{way}", []).append(row)
    figures = {
        name: {key: statistics.median(row[key] for row in rows) for key in rows[0]}
        for name, rows in taken.items()
    }
    limits = {
        f"added_p99_ms_{name}": Limit(row["added_p99_ms"], AT_MOST_ADDED_MS)
        for name, row in figures.items()
        if name.endswith(LIMITED)
    }
    return figures, limits


def _one_overhead(engine_ms: float, seconds: float, way: str) -> dict[str, float]:
    engine, sink = overhead(engine_ms, seconds, way)
    jitter_ms = engine.overslept.percentile_ms(99)
    added_ms = sink.added.percentile_ms(99)
    return {
        "frames": sink.added.count,
        "added_p50_ms": sink.added.percentile_ms(50),
        "added_p99_ms": added_ms,
        "engine_overslept_p99_ms": jitter_ms,
        "added_over_overslept": added_ms / jitter_ms,
    }


def main() -> None:
    """Measure what is asked for."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="of the stream under latest")
    parser.add_argument("--overhead-seconds", type=float, default=5, help="for each way")
    parser.add_argument("--rounds", type=int, default=5, help="of the overhead")
    parser.add_argument("--model", default="edge-n")
    chosen = parser.parse_args()
    figures: dict[str, Any] = {}
    limits: dict[str, Limit] = {}
    for name, (found, claims) in {
        "overhead": overheads(chosen.overhead_seconds, chosen.rounds),
        "all": everything(),
        "latest": latest(chosen.model, chosen.seconds),
    }.items():
        figures[name] = found
        limits |= {f"{name}_{claim}": limit for claim, limit in claims.items()}
    settings = {"model": chosen.model, "size": [WIDTH, HEIGHT]}
    publish(result("stream", settings=settings, figures=figures, limits=limits), chosen)


if __name__ == "__main__":
    main()
