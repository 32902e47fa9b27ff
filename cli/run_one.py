"""One stream of `crispstream run`: opened, run to its end, reported."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from crispstream.core.errors import SourceError, UsageError
from crispstream.core.sizes import Size
from crispstream.core.uris import masked

from .build_progress import BuildWatch
from .run_checks import check_one_image, check_positive, check_reports
from .run_device import on_device
from .run_metrics import served_stream
from .run_output import SIGNALLED, finish, stopped_line
from .run_progress import shown_progress
from .run_restorer import Running, open_running
from .run_signals import Caught, signals_caught
from .warn import watch_for_drift

if TYPE_CHECKING:
    from crispstream.runtime.frame import Frame
    from crispstream.runtime.latency import Latencies
    from crispstream.runtime.measure.report import RunReport
    from crispstream.runtime.stream.drift import DriftWatch
    from crispstream.runtime.stream.ledger import Ledger
    from crispstream.runtime.stream.outcome import StreamReport
    from crispstream.runtime.stream.sink import Sink, SinkOptions
    from crispstream.runtime.stream.source import Source, SourceOptions
    from crispstream.runtime.stream.watched import Watched

_LADDER_OFF = "off"


@dataclass(frozen=True)
class Request:
    """What is asked of one stream; `run_options` has the words."""

    source: str
    sinks: tuple[str, ...]
    source_options: "SourceOptions"
    sink_options: "SinkOptions"
    roi: str | None
    model: str
    precision: str
    backend: str
    device: str
    cuda_graph: bool
    tile: Size | None
    threads: int | None
    allow_uncertified: bool
    policy: str
    budget_ms: float | None
    ladder: str
    limit: int | None
    seconds: float | None
    overwrite: bool
    report: Path | None
    html: Path | None
    json: bool
    metrics: str | None = None
    """HOST:PORT to serve live figures at."""

    @property
    def has_ladder(self) -> bool:
        """Whether several models take turns to keep the budget."""
        return self.budget_ms is not None and self.ladder != _LADDER_OFF


class Ready(NamedTuple):
    """A stream that may begin."""

    request: Request
    """As it is on the device that was asked for."""
    source: "Source"
    running: Running
    caught: Caught


def run_one(request: Request) -> None:
    """Run a stream; the exit code says what became of it.

    Raises:
        CrispstreamError: what went wrong.
    """
    with served_stream(request.metrics) as watched, made_ready(request) as ready:
        summary = streamed(ready, watched=watched)
        why = ready.running.restorer.why
    finish(request, summary, why, ready.caught.signal_number)


@contextmanager
def made_ready(request: Request) -> Iterator[Ready]:
    """Open what a request names, until the end of a `with` statement; signals are caught in it.

    Raises:
        CrispstreamError: what went wrong.
        typer.Exit: with 128 and the number of a signal that came meanwhile.
    """
    _check(request)
    request = on_device(request, request.device)
    building = BuildWatch()
    with signals_caught() as caught, ThreadPoolExecutor(1) as pool, ExitStack() as opened:
        # Loading the model and opening the source take as long as each other: side by side.
        loading = pool.submit(open_running, request, on_build=building)
        opened.callback(_close_loaded, loading)  # also when there is no source to open
        with _cancelled(caught, request):
            source = opened.enter_context(_opened_source(request, caught))
        for sink in request.sinks:
            check_one_image(sink, request.source, source.info.frame_count, request.limit)
        running = loading.result()
        with building.shown(bar=not request.json, stop=caught.stop), _cancelled(caught, request):
            running.make_ready(source.info)
        yield Ready(request, source, running, caught)


def _check(request: Request) -> None:
    """Refuse what no work should be spent on."""
    from crispstream.runtime.stream.sink import check_distinct, check_options
    from crispstream.runtime.stream.slot import POLICIES, check_policy

    check_policy(request.policy, ("auto", *POLICIES))
    check_positive("--budget-ms", request.budget_ms)
    check_positive("--seconds", request.seconds)
    if request.budget_ms is None:
        named = request.ladder not in ("auto", _LADDER_OFF)
        for what, needs in (
            ("the policy deadline", request.policy == "deadline"),
            ("a ladder", named),
        ):
            if needs:
                raise UsageError(f"{what} needs a budget; add --budget-ms, such as 33")
    check_distinct(request.sinks)
    check_options(request.sinks, request.sink_options, overwrite=request.overwrite)
    for sink in request.sinks:
        check_reports(request.report, request.html, request.source, sink)


def streamed(
    ready: Ready,
    *,
    latencies: "Callable[[Sequence[str]], Latencies] | None" = None,
    on_ledger: "Callable[[Ledger], None]" = lambda _: None,
    on_frame: "Callable[[Frame], None] | None" = None,
    watched: "Watched | None" = None,
) -> "RunReport":
    """Run the loop, and join what it counted with what it was.

    Args:
        ready: the stream.
        latencies: makes what the times of the loop's stages go to; by default histograms.
        on_ledger: given the books before the first frame.
        on_frame: given each frame once it is on its way.
        watched: shown to whoever looks on; gets its parts.
    """
    from crispstream.runtime.latency import Latencies
    from crispstream.runtime.stream.drift import each_of
    from crispstream.runtime.stream.ledger import Ledger
    from crispstream.runtime.stream.loop import run_stream

    request, source, running, caught = ready
    ledger = Ledger(source.health, budget_ms=request.budget_ms)
    on_ledger(ledger)
    drift = watch_for_drift(running.restorers)
    if watched is not None:
        watched.model, watched.source, watched.drift = running.best, source, drift
        watched.ladder, watched.ledger = running.use, ledger
    with shown_progress(source.info, request.limit, ledger, shown=not request.json):
        figures = run_stream(
            source,
            running.restorer,
            _opened_sinks(request, source, ledger),  # which the run closes, whatever becomes of it
            policy=running.policy,
            budget_ms=request.budget_ms,
            ledger=ledger,
            limit=request.limit,
            seconds=request.seconds,
            stop=caught.stop,
            in_flight=running.in_flight,
            watch=each_of(running.looks_on(drift), on_frame),
            is_cut=running.is_cut,
            on_outcome=running.on_outcome,
            output_size=request.sink_options.size,
            latencies=latencies or Latencies,
        )
    return _reported(request, source.health.name, running, figures, drift)


def _opened_sinks(request: Request, source: "Source", ledger: "Ledger") -> "dict[str, Sink]":
    from crispstream.runtime.stream.compose import open_sinks

    return open_sinks(
        request.sinks,
        source.info,
        source=request.source,
        overwrite=request.overwrite,
        options=request.sink_options,
        ledger=ledger,
    )


def _reported(
    request: Request,
    source_name: str,
    running: Running,
    figures: "StreamReport",
    drift: "DriftWatch | None",
) -> "RunReport":
    from crispstream.runtime.measure.report import report_from_run

    return report_from_run(
        figures,
        source=source_name,
        sink=", ".join(masked(sink) for sink in request.sinks),
        model=running.best.name,
        precision=running.best.precision,
        backend=running.best.backend_name,
        drift=None if drift is None else drift.drift(),
        budget_ms=request.budget_ms,
        ladder=running.use(),
    )


def _close_loaded(loading: "Future[Running]") -> None:
    """Close the restorer once it is loaded, if it could be."""
    if loading.exception() is None:
        loading.result().close()


@contextmanager
def _opened_source(request: Request, caught: Caught) -> Iterator["Source"]:
    from crispstream.runtime.stream.compose import open_input

    source = open_input(
        request.source, options=request.source_options, roi=request.roi, stop=caught.stop
    )
    try:
        yield source
    finally:
        source.close()


@contextmanager
def _cancelled(caught: Caught, request: Request) -> Iterator[None]:
    """Leave in peace when a signal cancels the opening of a source or the building of an engine."""
    try:
        yield
    except (KeyboardInterrupt, SourceError):
        if not caught.signal_number:
            raise
        typer.echo(stopped_line(caught.signal_number, request.sinks), err=True)
        raise typer.Exit(SIGNALLED + caught.signal_number) from None
