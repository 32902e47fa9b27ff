"""One bench: open what is compared, time it, tell what came out, keep what may be chosen by."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .bench_output import bench_bar, tell
from .bench_subjects import Means, Opened, Wanted, opened_variants, pairs_of
from .build_progress import BuildWatch
from .run_output import SIGNALLED
from .run_signals import Caught, signals_caught
from .warn import say
from .written import written

if TYPE_CHECKING:
    from crispstream.runtime.measure.bench.record import BenchRecord, Settings
    from crispstream.runtime.measure.bench.trtexec import FrameKeeper
    from crispstream.runtime.measure.figures import Reading

_NO_GPU = ("onnxruntime-cpu", "bicubic")
"""Backends for whose sake no GPU is asked how it is."""


@dataclass(frozen=True)
class Request:
    """What was asked for, as it is used."""

    wanted: Sequence[Wanted]
    means: Means
    settings: "Settings"
    scopes: Sequence[str]
    further_percentiles: Sequence[float]
    notes: Sequence[str]
    """What a reader must know already."""
    report: Path | None
    html: Path | None
    export_times: Path | None
    json: bool


def run_the_bench(request: Request) -> None:
    """Bench; a signal ends it early with what there is.

    Raises:
        CrispstreamError: what went wrong.
        typer.Exit: with 128 and the number of a signal.
    """
    building = BuildWatch()
    with signals_caught() as caught, ExitStack() as closing:
        with building.shown(bar=not request.json, stop=caught.stop):
            opened = opened_variants(
                request.wanted, request.means, request.settings.size, closing, building
            )
        keeper = _keeper_of(opened[0]) if request.export_times is not None else None
        record = _timed(request, opened, keeper, caught)
        kept = list(_speeds_kept(opened, record))
    if _has_a_round(record, request.scopes):
        tell(record, request.report, request.html, json=request.json)
        for note in kept:
            say(f"note: {note}")
        if keeper is not None and request.export_times is not None:
            _export(keeper, request.export_times)
    else:
        say("stopped before the end of the first round; nothing was written")
    if caught.signal_number:
        raise typer.Exit(SIGNALLED + caught.signal_number)


def _timed(
    request: Request, opened: Sequence[Opened], keeper: "FrameKeeper | None", caught: Caught
) -> "BenchRecord":
    """Run the rounds, and add what the command knows to the record."""
    from crispstream.core.machine import usable_cores
    from crispstream.runtime.measure.bench.bench import run_bench
    from crispstream.runtime.measure.bench.clip import clip
    from crispstream.runtime.measure.bench.telemetry import Telemetry
    from crispstream.runtime.measure.bench.telemetry_notes import notes_on
    from crispstream.runtime.measure.figures import PERCENTILES

    telemetry = Telemetry(gpu=any(each.restorer.backend_name not in _NO_GPU for each in opened))
    begun = False

    def read(seconds: float, over: bool) -> "Reading | None":
        nonlocal begun
        if keeper is not None and not begun:
            keeper.clear()  # what came before the first round was the warm-up
        begun = True
        return telemetry(seconds, over)

    with bench_bar(shown=not request.json) as step:
        record = run_bench(
            [each.subject for each in opened],
            request.settings,
            clip(request.settings.size),
            scopes=request.scopes,
            percentiles=sorted({*PERCENTILES, *request.further_percentiles}),
            read=read,
            on_round=step,
            stop=caught.stop,
        )
    disturbed = notes_on(record.readings, usable_cores())
    return replace(record, notes=(*request.notes, *record.notes, *disturbed))


def _has_a_round(record: "BenchRecord", scopes: Sequence[str]) -> bool:
    """Return whether each variant had one whole round of each scope: less makes no report."""
    return all(
        scope in variant.scopes and variant.scopes[scope].rounds_ms
        for variant in record.variants
        for scope in scopes
    )


def _keeper_of(opened: Opened) -> "FrameKeeper":
    """Let the restorer remember its frames; without --export-times nothing does."""
    from crispstream.runtime.measure.bench.trtexec import FrameKeeper

    restorer = opened.restorer
    restorer.latencies = keeper = FrameKeeper(restorer.latencies, restorer.device_latencies)
    return keeper


def _export(keeper: "FrameKeeper", path: Path) -> None:
    from crispstream.runtime.measure.bench.trtexec import write_times

    with written(path):
        write_times(keeper.frames, path)


def _speeds_kept(opened: Sequence[Opened], record: "BenchRecord") -> Iterator[str]:
    """Keep what TensorRT's fp16 and int8 took with their engines; give notes."""
    pairs = list(pairs_of(opened))
    if not pairs:
        return
    from crispstream.runtime.engine.device.gpu import find_gpu
    from crispstream.runtime.engine.store.store import EngineStore
    from crispstream.runtime.measure.bench.speeds import keep_speeds

    gpu = find_gpu()
    if not isinstance(gpu, str):
        yield from keep_speeds(record, pairs, EngineStore(), gpu)
