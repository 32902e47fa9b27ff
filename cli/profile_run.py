"""One stream of `crispstream profile`: watched to its end, its layers timed, all of it written."""

import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from crispstream.core.errors import CrispstreamError, SourceError
from crispstream.core.uris import masked

from .run_one import Ready, Request, made_ready, streamed
from .run_output import SIGNALLED, stopped_line
from .warn import say
from .written import written

if TYPE_CHECKING:
    from crispstream.core.pixels import Bytes
    from crispstream.core.sizes import Size
    from crispstream.runtime.measure.profiling.record import LayerProfile, ProfileRecord
    from crispstream.runtime.measure.profiling.watching import Profiler

_LAYER_ROUNDS = 100


class Found(NamedTuple):
    """A profile and what it came from."""

    record: "ProfileRecord"
    profiler: "Profiler"
    why: str
    signal_number: int


def run_profile(
    request: Request, *, layers: bool, trace: Path | None, export_profile: Path | None
) -> None:
    """Profile a stream; the exit code says what became of it.

    Args:
        request: the stream, and where the record and its page are to go.
        layers: time the network layer by layer afterwards.
        trace: write a trace to this file.
        export_profile: write the layers as trtexec does.

    Raises:
        CrispstreamError: what went wrong.
        typer.Exit: with 128 and the number of a signal.
    """
    found = _found(request, layers=layers, keeps_trace=trace is not None)
    if trace is not None:
        from crispstream.runtime.measure.profiling.trace import write_trace

        with written(trace):
            write_trace(found.profiler, trace, found.record.layers)
    if export_profile is not None:
        _export(found.record, export_profile)
    _write(found.record, request)
    if found.signal_number:
        say(stopped_line(found.signal_number, request.sinks))
    _print(found, json=request.json)
    if found.signal_number:
        raise typer.Exit(SIGNALLED + found.signal_number)


def _found(request: Request, *, layers: bool, keeps_trace: bool) -> Found:
    from crispstream.runtime.measure.profiling.profile import profile_record
    from crispstream.runtime.measure.profiling.watching import FirstFrames, Profiler
    from crispstream.runtime.restorer import STAGES

    profiler, kept = Profiler(keeps_trace=keeps_trace), FirstFrames()
    with made_ready(request) as ready:
        best = ready.running.best
        best.latencies = profiler.latencies(STAGES)
        run = streamed(
            ready,
            latencies=profiler.latencies,
            on_ledger=lambda ledger: profiler.watch_queues(lambda: ledger.depths()),
            on_frame=kept,
        )
        size = best.padded_size
        if size is None or not run.stream.frames:
            raise SourceError(
                f"'{masked(request.source)}' gave no frame that was restored, so there is nothing "
                "to profile; see that it has frames: crispstream run SOURCE null://"
            )
        wanted = layers and not ready.caught.signal_number
        timed, notes = _layers(ready, kept.frames) if wanted else (None, ())
        record = profile_record(
            run,
            profiler,
            graph_sha256=best.graph_sha256,
            size=size,
            device_ms=_device_ms(ready),
            layers=timed,
            keeps_trace=keeps_trace,
            side_by_side=ready.running.in_flight if best.device_latencies is None else 1,
            notes=notes,
        )
    return Found(record, profiler, best.why, ready.caught.signal_number)


def _device_ms(ready: Ready) -> float | None:
    """Return the median of the network by the device's own clock; None where there is none."""
    told = ready.running.best.device_latencies
    if told is None:
        return None
    counts = {stage: told[stage].count for stage in ("infer", "whole")}
    stage = max(counts, key=lambda name: counts[name])
    return told[stage].percentile_ms(50) if counts[stage] else None


def _layers(ready: Ready, frames: "list[Bytes]") -> "tuple[LayerProfile | None, tuple[str, ...]]":
    """Return the times of the layers, or None and a note why there are none."""
    from crispstream.runtime.engine.models import find_model
    from crispstream.runtime.measure.profiling.layers import profile_layers, why_not

    best = ready.running.best
    reason = why_not(best.backend_name)
    if reason:
        return None, (f"No layers: {reason}.",)
    bundle = find_model(ready.request.model)
    width, height = bundle.frame_size or _tile(ready)
    graph = next(each for each in bundle.graphs if each.sha256 == best.graph_sha256)
    try:
        return profile_layers(
            bundle,
            graph,
            backend=best.backend_name,
            threads=ready.request.threads,
            width=width,
            height=height,
            frames=frames,
            rounds=_LAYER_ROUNDS,
        ), ()
    except CrispstreamError as error:  # the stream was profiled; that much is there
        return None, (f"No layers: {error}.",)


def _tile(ready: Ready) -> "Size":
    """Return the (width, height) that the network sees at once."""
    padded = ready.running.best.padded_size
    assert padded is not None  # frames were restored
    tile = ready.request.tile
    return padded if tile is None else (min(tile[0], padded[0]), min(tile[1], padded[1]))


def _export(record: "ProfileRecord", path: Path) -> None:
    from crispstream.runtime.measure.profiling.trtexec import layer_records

    if record.layers is None:
        why = next((note for note in record.notes if note.startswith("No layers")), "")
        raise CrispstreamError(f"there are no layers to write to '{path}'. {why}")
    with written(path):
        path.write_text(json_text.dumps(layer_records(record.layers), indent=1) + "\n")


def _write(record: "ProfileRecord", request: Request) -> None:
    if request.report is not None:
        from crispstream.runtime.measure.records import write_record

        with written(request.report):
            write_record(record, request.report)
    if request.html is not None:
        from crispstream.runtime.measure.pages.profile import write_html

        with written(request.html):
            write_html(record, request.html)


def _print(found: Found, *, json: bool) -> None:
    from rich.console import Console

    from crispstream.runtime.measure.profiling.summary import print_profile
    from crispstream.runtime.measure.records import as_json

    if json:
        typer.echo(json_text.dumps(as_json(found.record)))
        return
    typer.echo(found.why)
    print_profile(found.record, Console())
