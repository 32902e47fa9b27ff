"""One stream of `crispstream profile`: watched to its end, and then its layers timed."""

import signal
from typing import TYPE_CHECKING, NamedTuple

import typer

from crispstream.core.errors import CrispstreamError, SourceError
from crispstream.core.uris import masked

from .profile_files import Files, as_line, write_files
from .run_one import Ready, Request, made_ready, streamed
from .run_output import SIGNALLED
from .warn import counted, say

if TYPE_CHECKING:
    from crispstream.core.pixels import Bytes
    from crispstream.core.sizes import Size
    from crispstream.runtime.latency import Histogram
    from crispstream.runtime.measure.profiling.record import LayerProfile, ProfileRecord
    from crispstream.runtime.measure.profiling.watching import Profiler

_LAYER_ROUNDS = 100
_LAYER_SECONDS = 10.0


class Found(NamedTuple):
    """A profile and what it came from."""

    record: "ProfileRecord"
    profiler: "Profiler"
    why: str
    signal_number: int


def run_profile(request: Request, files: Files, *, layers: bool, roof: str | None) -> None:
    """Profile a stream; the exit code says what became of it.

    Args:
        request: the stream.
        files: what is to be written.
        layers: time the network layer by layer afterwards.
        roof: the device whose roof the page shows the layers against; None for none.

    Raises:
        CrispstreamError: what went wrong.
        typer.Exit: with 128 and the number of a signal.
    """
    found = _found(request, layers=layers, keeps_trace=files.trace is not None)
    if found.signal_number:
        frames = counted(found.record.run["frames"], "frame")
        name = signal.Signals(found.signal_number).name
        say(f"stopped by {name} after {frames}; the figures are of these")
    if request.json:
        typer.echo(as_line(found.record))
    else:
        _print(found)
    write_files(files, found.record, found.profiler, request.model, roof)
    if found.signal_number:
        raise typer.Exit(SIGNALLED + found.signal_number)


def _print(found: Found) -> None:
    from rich.console import Console

    from crispstream.runtime.measure.profiling.summary import print_profile

    typer.echo(found.why)
    print_profile(found.record, Console())


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
        timed, notes = _layers(ready, kept.frames) if layers else (None, ())
        record = profile_record(
            run,
            profiler,
            graph_sha256=best.graph_sha256,
            size=size,
            device=_device_times(ready),
            layers=timed,
            keeps_trace=keeps_trace,
            side_by_side=ready.running.in_flight if best.device_latencies is None else 1,
            notes=notes,
        )
    return Found(record, profiler, best.why, ready.caught.signal_number)


def _device_times(ready: Ready) -> "Histogram | None":
    """Return the times of the network by the device's own clock; None where there is none."""
    told = ready.running.best.device_latencies
    if told is None:
        return None
    times = max((told[stage] for stage in ("infer", "whole")), key=lambda each: each.count)
    return times if times.count else None


def _layers(ready: Ready, frames: "list[Bytes]") -> "tuple[LayerProfile | None, tuple[str, ...]]":
    """Return the times of the layers, or None and a note why there are none."""
    from crispstream.runtime.engine.models import find_model
    from crispstream.runtime.measure.profiling.layers import profile_layers, why_not
    from crispstream.runtime.measure.profiling.turns import Limits

    best, caught = ready.running.best, ready.caught
    reason = why_not(best.backend_name)
    if caught.signal_number:
        reason = "the stream was stopped by a signal; give --seconds for an end of its own"
    if reason:
        return None, (f"No layers: {reason}.",)
    bundle = find_model(ready.request.model)
    width, height = bundle.frame_size or _tile(ready)
    graph = next(each for each in bundle.graphs if each.sha256 == best.graph_sha256)
    if not ready.request.json:
        say(f"timing the layers of {bundle.name}, for at most {_LAYER_SECONDS:g} s")
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
            limits=Limits(caught.stop, _LAYER_SECONDS),
        ), ()
    except CrispstreamError as error:  # the stream was profiled; that much is there
        return None, (f"No layers: {error}.",)


def _tile(ready: Ready) -> "Size":
    """Return the (width, height) that the network sees at once."""
    padded = ready.running.best.padded_size
    assert padded is not None  # frames were restored
    tile = ready.request.tile
    return padded if tile is None else (min(tile[0], padded[0]), min(tile[1], padded[1]))
