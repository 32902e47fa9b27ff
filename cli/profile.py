"""`crispstream profile`: where the time of a real stream goes, stage by stage, layer by layer."""

from pathlib import Path

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
    budget_ms: own.BudgetMs = None,
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
    export_layer_info: own.ExportLayerInfo = None,
    roof: own.Roof = None,
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

    from .profile_files import Files
    from .profile_run import run_profile
    from .run_device import use_device
    from .run_one import Request

    use_device(device)
    files = Files(report, html, trace, export_profile, export_layer_info)
    check_files(files.by_option(), source, sink)
    if no_layers and files.need_layers:
        raise UsageError("what is to be exported are the layers; leave out --no-layers")
    if roof is not None:
        _check_roof(roof, html, no_layers=no_layers)
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
    run_profile(request, files, layers=not no_layers, roof=roof)


def _check_roof(roof: str, html: Path | None, *, no_layers: bool) -> None:
    """Refuse a roof that no page would show, and a device that nobody knows."""
    from crispstream.runtime.measure.plan.devices import find_device

    if html is None or no_layers:
        raise UsageError("--roof is a part of the page, beside its layers; give --html FILE")
    if roof != "cpu":  # which is measured, and so only once it is wanted
        find_device(roof)
