"""`crispstream run`: a stream in, a sharp one out, and where every millisecond went."""

import contextlib
import json as json_text
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crispstream.core.errors import SinkError

from .build_progress import BuildWatch
from .run_checks import check_one_image, check_reports
from .run_signals import Caught, signals_caught
from .warn import warn_uncertified, watch_for_drift

if TYPE_CHECKING:
    from crispstream.runtime.latency import Latencies
    from crispstream.runtime.measure.report import RunReport
    from crispstream.runtime.restorer import Restorer
    from crispstream.runtime.stream.drift import Drift
    from crispstream.runtime.stream.loop import StreamReport
    from crispstream.runtime.stream.sink import Sink
    from crispstream.runtime.stream.source import Source

# Frames that may be with the sink while the restorer goes on: rides out an encoder's slow frame.
_FRAMES_WITH_SINK = 2
# On a GPU one frame is copied while another is restored: worth its delay where none is urgent.
_FRAMES_ON_GPU = 2
_SIGNALLED = 128  # a shell's exit code for a process that a signal ended, plus its number
_REDRAW_SECONDS = 0.1


def run(
    source: Annotated[
        str, typer.Argument(help="Video, image, folder of images, or synth://pattern.")
    ],
    sink: Annotated[
        str, typer.Argument(help="Video (.mp4 .mov .m4v .mkv), image, folder, or null://.")
    ],
    model: Annotated[str, typer.Option(help="Shipped name, path of a bundle, or bicubic.")] = (
        "edge-n"
    ),
    precision: Annotated[
        str, typer.Option(help="auto: fastest certified; or fp32, fp16, int8 (int8-cpu on a CPU).")
    ] = "auto",
    backend: Annotated[
        str,
        typer.Option(
            help="auto: the best that works here; or tensorrt, tensorrt-rtx, onnxruntime-cuda, "
            "onnxruntime (CPU)."
        ),
    ] = "auto",
    no_cuda_graph: Annotated[
        bool,
        typer.Option("--no-cuda-graph", help="On TensorRT: enqueue frames call by call."),
    ] = False,
    policy: Annotated[
        str, typer.Option(help="all: every frame. latest: drop what is late.")
    ] = "all",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads of the engine; every core by default.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many frames.")] = None,
    fps: Annotated[
        float | None, typer.Option(help="Frames per second of images; 25 by default.")
    ] = None,
    report: Annotated[Path | None, typer.Option(help="Write the figures to this JSON file.")] = (
        None
    ),
    html: Annotated[Path | None, typer.Option(help="Write the figures to this HTML page.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the output.")] = False,
    allow_uncertified: Annotated[
        bool,
        typer.Option("--allow-uncertified", help="Run a named fp16 or int8 as it is, unverified."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as one line.")] = False,
) -> None:
    """Restore a stream: sharper, and 4x larger on each side."""
    from crispstream.runtime.stream.loop import run_stream
    from crispstream.runtime.stream.slot import check_policy

    check_policy(policy)
    check_reports(report, html, source, sink)
    computed = backend if model != "bicubic" else "onnxruntime"
    abreast, in_flight = _abreast_and_in_flight(policy, computed, threads)
    building = BuildWatch()
    with signals_caught() as caught, ThreadPoolExecutor(1) as pool, ExitStack() as opened:
        # Loading the model and opening the source take as long as each other: side by side.
        loading = pool.submit(
            _open_restorer,
            model,
            precision=precision,
            backend=backend,
            threads=threads,
            frames_in_flight=in_flight + _FRAMES_WITH_SINK,
            side_by_side=abreast,
            allow_uncertified=allow_uncertified,
            cuda_graph=not no_cuda_graph,
            on_build=building,
        )
        opened.callback(_close_loaded, loading)  # also when there is no source to open
        frames = opened.enter_context(_opened(source, fps))
        check_one_image(sink, source, frames.info.frame_count, limit)
        restorer = loading.result()
        if restorer.uncertified:
            warn_uncertified(restorer.name, restorer.precision)
        watch = watch_for_drift(restorer)
        with building.shown(bar=not json, stop=caught.stop), _build_cancelled(caught, sink):
            restorer.reserve(frames.info.width, frames.info.height)
        output = _open_sink(sink, frames, source, overwrite=overwrite)
        with _progress(frames, limit, shown=not json) as tick:
            figures = run_stream(
                frames,
                restorer,
                output,
                policy=policy,
                limit=limit,
                on_frame=tick,
                stop=caught.stop,
                in_flight=in_flight,
                watch=watch,
            )
        drift = None if watch is None else watch.drift()
        summary, why = _summary(figures, source, sink, restorer, drift), restorer.why
    _write_reports(summary, report, html)
    if not caught.signal_number:
        _print(summary, why, json=json)
        return
    with contextlib.suppress(OSError):  # after SIGHUP there may be nobody to read it
        typer.echo(_stopped(caught.signal_number, summary.frames, sink), err=True)
        _print(summary, why, json=json)
    raise typer.Exit(_SIGNALLED + caught.signal_number)


def _abreast_and_in_flight(policy: str, backend: str, threads: int | None) -> tuple[int, int]:
    """Return the frames to compute at once, and those to keep in the restorer.

    Many for files, one where each frame is urgent. Only the CPU computes several at once: a GPU
    is kept busy by one, while it copies another.
    """
    from crispstream.runtime.engine.available import CPU, choose_backend
    from crispstream.runtime.engine.choose import frames_side_by_side

    if policy != "all":
        return 1, 1
    if choose_backend(backend).name != CPU:
        return 1, _FRAMES_ON_GPU
    abreast = frames_side_by_side(threads)
    return abreast, abreast


def _close_loaded(loading: "Future[Restorer]") -> None:
    """Close the restorer once it is loaded, if it could be."""
    if loading.exception() is None:
        loading.result().close()


def _open_restorer(model: str, **options: Any) -> "Restorer":  # noqa: ANN401 (those of `open`)
    from crispstream.runtime.restorer import Restorer

    return Restorer.open(model, **options)


@contextmanager
def _build_cancelled(caught: Caught, sink: str) -> Iterator[None]:
    """Leave in peace when a signal cancels the building of an engine."""
    try:
        yield
    except KeyboardInterrupt:
        if not caught.signal_number:
            raise
        typer.echo(_stopped(caught.signal_number, 0, sink), err=True)
        raise typer.Exit(_SIGNALLED + caught.signal_number) from None


@contextmanager
def _opened(uri: str, frame_rate: float | None) -> Iterator["Source"]:
    from crispstream.runtime.stream.source import open_source

    source = open_source(uri, frame_rate=frame_rate)
    try:
        yield source
    finally:
        source.close()


def _open_sink(uri: str, frames: "Source", source: str, *, overwrite: bool) -> "Sink":
    from crispstream.core.pixels import SCALE
    from crispstream.runtime.stream.sink import open_sink

    return open_sink(uri, frames.info, SCALE, source=source, overwrite=overwrite)


@contextmanager
def _progress(
    frames: "Source", limit: int | None, *, shown: bool
) -> "Iterator[Callable[[int, Latencies], None]]":
    """Show frames, frames/s and p95 latency on stderr; give the function to call per frame."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"))
    counts = [count for count in (frames.info.frame_count, limit) if count is not None]
    with Progress(
        *columns, console=console, transient=True, disable=not (shown and console.is_terminal)
    ) as bar:
        task = bar.add_task("frames", total=min(counts, default=None), pace="")
        begun = shown_last = time.monotonic()

        def tick(count: int, latencies: "Latencies") -> None:
            nonlocal shown_last
            now = time.monotonic()
            if bar.disable or now - shown_last < _REDRAW_SECONDS:
                return
            shown_last = now
            p95_ms = latencies["total"].percentile_ms(95)
            pace = f"{count / (now - begun):.1f} frames/s, p95 {p95_ms:.0f} ms"
            bar.update(task, completed=count, pace=pace)

        yield tick


def _summary(
    figures: "StreamReport", source: str, sink: str, restorer: "Restorer", drift: "Drift | None"
) -> "RunReport":
    from crispstream.runtime.measure.report import report_from_run

    return report_from_run(
        figures,
        source=source,
        sink=sink,
        model=restorer.name,
        precision=restorer.precision,
        backend=restorer.backend_name,
        histograms=figures.histograms,
        drift=drift,
    )


def _write_reports(summary: "RunReport", report: Path | None, html: Path | None) -> None:
    from crispstream.runtime.measure.report import write_html, write_json

    for path, write in ((report, write_json), (html, write_html)):
        if path is None:
            continue
        try:
            write(summary, path)
        except OSError as error:
            raise SinkError(
                f"the report '{path}' cannot be written ({error.strerror}); name another file"
            ) from error


def _stopped(signal_number: int, frames: int, sink: str) -> str:
    by = f"stopped by {signal.Signals(signal_number).name}"
    if not frames:
        return f"{by} before the first frame; nothing was written"
    return f"{by}: the output '{sink}' is partial, {frames} frames"


def _print(summary: "RunReport", why: str, *, json: bool) -> None:
    from rich.console import Console

    from crispstream.runtime.measure.report import print_table

    if json:  # one line, however the file is laid out
        typer.echo(json_text.dumps(json_text.loads(summary.to_json())))
    elif summary.frames:
        typer.echo(why)
        print_table(summary, Console())
