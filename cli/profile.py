"""`crispstream profile`: where the time of a real stream goes, stage by stage, layer by layer."""

from crispstream.core.errors import UsageError

from . import profile_options as own
from . import run_options as ask
from .run_checks import check_files


def profile(
    source: own.Source,
    sink: own.Sink = "null://",
    model: ask.Model = "edge-n",
    precision: ask.Precision = "auto",
    backend: ask.Backend = "auto",
    device: ask.Device = "auto",
    no_cuda_graph: ask.NoCudaGraph = False,
    tile: ask.Tile = None,
    threads: ask.Threads = None,
    allow_uncertified: ask.AllowUncertified = False,
    policy: ask.Policy = "auto",
    budget_ms: ask.BudgetMs = None,
    limit: ask.Limit = None,
    seconds: ask.Seconds = None,
    input_size: ask.InputSize = None,
    input_fps: ask.InputFps = None,
    decoder: ask.Decoder = "auto",
    roi: ask.Roi = None,
    encoder: ask.Encoder = "auto",
    overwrite: ask.Overwrite = False,
    no_layers: own.NoLayers = False,
    trace: own.Trace = None,
    export_profile: own.ExportProfile = None,
    report: ask.Report = None,
    html: ask.Html = None,
    json: ask.Json = False,
) -> None:
    """Restore a stream, and say where its time went: stages, queues, drops, layers.

    crispstream profile clip.mp4 --model edge-s --html profile.html --trace trace.json

    crispstream profile rtsp://10.0.0.7/stream --seconds 60 --report profile.json
    """
    from crispstream.runtime.stream.sink import SinkOptions
    from crispstream.runtime.stream.source import SourceOptions

    from .profile_run import run_profile
    from .run_device import use_device
    from .run_one import Request

    use_device(device)
    files = {
        "--report": report, "--html": html, "--trace": trace, "--export-profile": export_profile,
    }  # fmt: skip
    check_files(files, source, sink)
    if no_layers and export_profile is not None:
        raise UsageError("--export-profile writes the layers; leave out --no-layers, or that")
    request = Request(
        source=source,
        sinks=(sink,),
        source_options=SourceOptions(
            size=ask.size_or_none("--input-size", input_size),
            frame_rate=input_fps,
            decoder=decoder,
        ),
        sink_options=SinkOptions(encoder=encoder),
        roi=roi,
        model=model,
        precision=precision,
        backend=backend,
        device=device,
        cuda_graph=not no_cuda_graph,
        tile=ask.size_or_none("--tile", tile),
        threads=threads,
        allow_uncertified=allow_uncertified,
        policy=policy,
        budget_ms=budget_ms,
        ladder="off",  # one model: its layers and its times are what is asked about
        limit=limit,
        seconds=seconds,
        overwrite=overwrite,
        report=report,
        html=html,
        json=json,
    )
    run_profile(request, layers=not no_layers, trace=trace, export_profile=export_profile)
