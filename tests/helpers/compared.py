"""Records as they are compared: figures of one's choice, all else made up."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from statistics import median
from typing import Any

from crispstream.runtime.measure.bench.record import BenchRecord, Measured, Settings, Variant
from crispstream.runtime.measure.figures import Moment, Reading, Spread
from crispstream.runtime.measure.host import Host
from crispstream.runtime.measure.plan.record import PlannedLayer, PlanRecord
from crispstream.runtime.measure.profiling.record import LayerProfile, LayerTime, ProfileRecord

from .any_value import any_value

HOST = Host("A CPU", 2, "Linux 6.1 x86_64", "3.11.2", {"crispstream": "0.1.0", "numpy": "2.0"})
SETTINGS = Settings(
    size=(320, 180), seconds=20.0, iterations=100, warm_up_ms=200.0, block=10, threads=2
)
CREATED = "2026-01-02T03:04:05+00:00"
STEADY = {
    "edge-n fp32": (10.0, 10.2, 9.9, 10.1, 10.0, 9.8, 10.1, 10.0),
    "edge-s fp32": (30.0, 30.3, 29.9, 30.1, 30.2, 29.8, 30.1, 30.0),
}
"""Variant -> medians of its rounds, ms."""


def made_up(kind: Any) -> Any:
    """Return a record of a kind in which nothing means anything; the same each time."""
    return any_value(kind, random.Random(3))


def spread(median_ms: float, count: int = 400) -> Spread:
    """Return a spread around a median, with a tail of half as much again."""
    tails = {"50": 1.0, "90": 1.1, "95": 1.2, "99": 1.3, "99.9": 1.4}
    return Spread(
        count=count,
        mean_ms=1.02 * median_ms,
        min_ms=0.9 * median_ms,
        max_ms=1.5 * median_ms,
        percentiles_ms={key: times * median_ms for key, times in tails.items()},
        jitter_ms=0.05 * median_ms,
        buckets=((median_ms, count),),
    )


def moments(means_ms: Sequence[float]) -> tuple[Moment, ...]:
    """Return a stretch of a second for each mean."""
    return tuple(
        Moment(float(second), 1.0, 30, mean_ms, 0.9 * mean_ms, 1.2 * mean_ms)
        for second, mean_ms in enumerate(means_ms)
    )


def measured(rounds_ms: Sequence[float]) -> Measured:
    """Return a scope with these rounds."""
    middle_ms = median(rounds_ms)
    return Measured(spread(middle_ms), tuple(rounds_ms), moments(rounds_ms), 60.0)


def variant(name: str, scopes: Mapping[str, Sequence[float]]) -> Variant:
    """Return a variant of a name such as `edge-n fp32`, with the rounds of its scopes."""
    model, _, precision = name.partition(" ")
    return replace(
        made_up(Variant),
        name=name,
        model=model,
        precision=precision,
        backend="onnxruntime-cpu",
        graph_sha256="ab" * 32,
        scopes={scope: measured(rounds_ms) for scope, rounds_ms in scopes.items()},
    )


def bench(
    rounds_ms: Mapping[str, Sequence[float]] = STEADY,
    settings: Settings = SETTINGS,
    host: Host = HOST,
    **facts: float | str,
) -> BenchRecord:
    """Return a bench of these rounds in the engine, end to end 2 ms longer.

    `facts` are what the machine told at each of its readings.
    """
    return replace(
        made_up(BenchRecord),
        settings=settings,
        variants=tuple(
            variant(name, {"engine": rounds, "end_to_end": [each + 2 for each in rounds]})
            for name, rounds in rounds_ms.items()
        ),
        readings=tuple(Reading(float(n), {"load_average": 0.5, **facts}) for n in range(3)),
        host=host,
        created=CREATED,
        notes=(),
    )


def run_content(**changed: Any) -> dict[str, Any]:
    """Return what `crispstream run --report` writes, less what nobody compares."""
    stages = {"decode": 2.0, "infer": 10.0, "total": 15.0}
    return {
        "kind": "run",
        "schema": 1,
        "source": "in.mp4",
        "sink": "out.mp4",
        "model": "edge-n",
        "precision": "fp32",
        "backend": "onnxruntime-cpu",
        "frames": 400,
        "dropped": 0,
        "frames_per_second": 66.0,
        "cpu_ms_per_frame": 25.0,
        "first_frame_ms": 70.0,
        "live": False,
        "policy": "all",
        "budget_ms": None,
        "stages": {name: _stage(middle_ms) for name, middle_ms in stages.items()},
        "host": asdict(HOST),
        "created": CREATED,
    } | changed


def _stage(middle_ms: float) -> dict[str, float]:
    times = {"mean": 1.02, "p50": 1.0, "p95": 1.2, "p99": 1.3, "max": 1.5}
    return {"count": 400.0, **{f"{key}_ms": by * middle_ms for key, by in times.items()}}


def layer_time(name: str, middle_ms: float) -> LayerTime:
    """Return a timed layer."""
    return LayerTime(name, (name,), "Conv", "fp32", (1, 16, 180, 320), spread(middle_ms), 0.5)


def profile(
    total_ms: Sequence[float] = (15.0, 15.2, 14.9, 15.1, 15.0, 14.8, 15.1, 15.0),
    infer_ms: float = 10.0,
    layers_ms: Mapping[str, float] | None = None,
    **changed: Any,
) -> ProfileRecord:
    """Return a profile whose whole way took `total_ms` over time, and its layers `layers_ms`.

    `changed` are fields of the record.
    """
    timed = tuple(layer_time(*each) for each in (layers_ms or {}).items())
    middle_ms = median(total_ms)
    return replace(
        made_up(ProfileRecord),
        run=run_content(),
        graph_sha256="ab" * 32,
        size=(320, 192),
        stages={"infer": spread(infer_ms), "total": spread(middle_ms)},
        timeline=moments(total_ms),
        engine_ms=infer_ms,
        end_to_end_ms=middle_ms,
        layers=LayerProfile("a clock", 50, timed, infer_ms, infer_ms) if timed else None,
        host=HOST,
        created=CREATED,
        notes=(),
        **changed,
    )


def planned(name: str, roof_ms: float, macs: int = 1000) -> PlannedLayer:
    """Return a planned layer."""
    return PlannedLayer(name, (name,), "Conv", "fp16", (1, 16), macs, 10, 100.0, roof_ms, "memory")


def plan(layers_ms: Mapping[str, float] | None = None, **changed: Any) -> PlanRecord:
    """Return a plan of these layers; `changed` are fields of the record."""
    layers = tuple(planned(*each) for each in (layers_ms or {"/conv": 0.5, "/add": 0.1}).items())
    made = replace(
        made_up(PlanRecord),
        model="edge-n",
        precision="fp16",
        size=(320, 180),
        layers=layers,
        macs=sum(layer.macs for layer in layers),
        bytes=sum(layer.bytes for layer in layers),
        roof_ms=sum(layer.roof_ms for layer in layers),
        created=CREATED,
        profile="",
        notes=(),
    )
    return replace(made, **changed)
