"""`crispstream bench`: how fast, against what, and how sure that is."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from crispstream.core.errors import UsageError
from crispstream.core.sizes import parse_size

from . import bench_options as ask
from . import bench_trtexec as trtexec
from .bench_run import Request, run_the_bench
from .bench_subjects import Means, check_backend, size_of_files, wanted_variants
from .build_options import one_of
from .run_checks import check_files, check_positive
from .run_device import AUTO, ON_CPU, use_device
from .warn import say

if TYPE_CHECKING:
    from crispstream.runtime.measure.bench.record import Settings

_SIZE = "320x180"
_SECONDS, _ITERATIONS, _WARM_UP_MS = 20.0, 10, 500.0


def bench(
    things: ask.Things,
    precision: ask.Precisions = "auto",
    backend: ask.Backend = "auto",
    device: ask.Device = "auto",
    size: ask.Size = None,
    scopes: ask.Scopes = "engine,copies,end_to_end",
    threads: ask.Threads = None,
    no_cuda_graph: ask.NoCudaGraph = False,
    allow_uncertified: ask.AllowUncertified = False,
    seconds: ask.Seconds = None,
    iterations: ask.Iterations = _ITERATIONS,
    warm_up_ms: ask.WarmUpMs = None,
    paced_fps: ask.PacedFps = None,
    idle_ms: ask.IdleMs = None,
    deadline_ms: ask.DeadlineMs = None,
    percentile: ask.Percentiles = "",
    report: ask.Report = None,
    html: ask.Html = None,
    json: ask.Json = False,
    export_times: ask.ExportTimes = None,
    duration: trtexec.Duration = None,
    warm_up: trtexec.WarmUp = None,
    idle_time: trtexec.IdleTime = None,
    no_cuda_graph_too: trtexec.NoCudaGraphToo = False,
    export_times_too: trtexec.ExportTimesToo = None,
    use_cuda_graph: trtexec.UseCudaGraph = False,
    include_data_transfers: trtexec.IncludeDataTransfers = False,
    fp16: trtexec.Fp16 = False,
    int8: trtexec.Int8 = False,
    best: trtexec.Best = False,
    load_engine: trtexec.LoadEngine = None,
    onnx: trtexec.Onnx = None,
    shapes: trtexec.Shapes = None,
    opt_shapes: trtexec.OptShapes = None,
    avg_runs: trtexec.AvgRuns = None,
    use_spin_wait: trtexec.UseSpinWait = False,
    no_data_transfers: trtexec.NoDataTransfers = False,
    inf_streams: trtexec.InfStreams = None,
    dump_profile: trtexec.DumpProfile = False,
    export_profile: trtexec.ExportProfile = None,
) -> None:
    """Time models, precisions and engines in turns, and say how sure the difference is.

    crispstream bench edge-n edge-s --precision fp32,int8

    crispstream bench edge-n --precision fp16,int8 --paced-fps 30 --deadline-ms 33 --html b.html
    """
    export_times = one_of("--export-times", export_times, "--exportTimes", export_times_too)
    check_files({"--report": report, "--html": html, "--export-times": export_times})
    use_device(device)
    settings = _settings(
        one_of("--seconds", seconds, "--duration", duration),
        iterations,
        one_of("--warm-up-ms", warm_up_ms, "--warmUp", warm_up),
        paced_fps,
        one_of("--idle-ms", idle_ms, "--idleTime", idle_time),
        deadline_ms,
        threads,
    )
    asked_size = None if size is None else parse_size(size)
    further, timed = ask.percentiles(percentile), ask.scopes_of(scopes)
    runs_on = _backend_on(device, backend)
    wanted, skipped = wanted_variants(things, ask.listed("--precision", precision), runs_on)
    check_backend(backend, device, wanted)
    for note in skipped:
        say(f"note: {note}")
    _check_one(export_times, len(wanted))
    request = Request(
        wanted=wanted,
        means=Means(runs_on, threads, not (no_cuda_graph or no_cuda_graph_too), allow_uncertified),
        settings=replace(settings, size=asked_size or size_of_files(wanted) or parse_size(_SIZE)),
        scopes=timed,
        further_percentiles=further,
        notes=skipped,
        report=report,
        html=html,
        export_times=export_times,
        json=json,
    )
    run_the_bench(request)


def _backend_on(device: str, backend: str) -> str:
    """Return the backend for a device; UsageError if they exclude each other."""
    if device != ON_CPU:
        return backend
    if backend not in (AUTO, "onnxruntime"):
        raise UsageError(f"--device is cpu, and the backend {backend}; leave one of them out")
    return "onnxruntime"


def _settings(
    seconds: float | None,
    iterations: int,
    warm_up_ms: float | None,
    paced_fps: float | None,
    idle_ms: float | None,
    deadline_ms: float | None,
    threads: int | None,
) -> "Settings":
    """Return the settings, for frames of the usual size.

    Raises:
        UsageError: for numbers that cannot be, before any model is opened.
    """
    from crispstream.runtime.measure.bench.bench import DEFAULT_BLOCK
    from crispstream.runtime.measure.bench.checks import check_settings
    from crispstream.runtime.measure.bench.record import Settings

    for option, number in (
        ("--seconds", seconds),
        ("--paced-fps", paced_fps),
        ("--deadline-ms", deadline_ms),
    ):
        check_positive(option, number)
    for option, number in (("--warm-up-ms", warm_up_ms), ("--idle-ms", idle_ms)):
        ask.check_not_negative(option, number)
    settings = Settings(
        size=parse_size(_SIZE),
        seconds=_SECONDS if seconds is None else seconds,
        iterations=iterations,
        warm_up_ms=_WARM_UP_MS if warm_up_ms is None else warm_up_ms,
        block=DEFAULT_BLOCK,
        paced_fps=paced_fps,
        idle_ms=idle_ms or 0.0,
        deadline_ms=deadline_ms,
        threads=threads,
    )
    check_settings(settings)
    return settings


def _check_one(export_times: Path | None, variants: int) -> None:
    if export_times is not None and variants > 1:
        raise UsageError(
            f"--export-times '{export_times}' holds the frames of one variant, as trtexec's does, "
            f"and there are {variants}; name one thing and one precision"
        )
