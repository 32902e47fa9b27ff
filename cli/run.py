"""`crispstream run`: a stream in, a sharp one out, and where every millisecond went."""

import typer

from crispstream.core.errors import UsageError
from crispstream.core.uris import masked

from . import run_options as ask


def run(
    context: typer.Context,
    source: ask.SourceUri = None,
    sinks: ask.SinkUris = None,
    config: ask.Config = None,
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
    ladder: ask.LadderNames = "auto",
    limit: ask.Limit = None,
    seconds: ask.Seconds = None,
    input_size: ask.InputSize = None,
    input_fps: ask.InputFps = None,
    decoder: ask.Decoder = "auto",
    roi: ask.Roi = None,
    output_size: ask.OutputSize = None,
    output_fps: ask.OutputFps = None,
    codec: ask.Codec = "h264",
    encoder: ask.Encoder = "auto",
    segment_seconds: ask.SegmentSeconds = None,
    overwrite: ask.Overwrite = False,
    report: ask.Report = None,
    html: ask.Html = None,
    json: ask.Json = False,
    metrics: ask.Metrics = None,
) -> None:
    """Restore a stream: sharper, and 4x larger on each side.

    crispstream run clip.mp4 out.mp4

    crispstream run rtsp://10.0.0.7/stream rec.mp4 preview://127.0.0.1:8080 --budget-ms 33
    """
    from .run_device import use_device

    if config is not None:
        from .run_checks import check_beside_config
        from .run_config import run_config

        check_beside_config(context, config, source)
        use_device(device)
        run_config(
            config, device=device, seconds=seconds, report=report, json=json, metrics=metrics
        )
        return
    if source is None or not sinks:
        raise UsageError(_what_is_missing(source))
    use_device(device)
    from crispstream.runtime.stream.sink import SinkOptions
    from crispstream.runtime.stream.source import SourceOptions

    from .run_one import Request, run_one

    run_one(
        Request(
            source=source,
            sinks=tuple(sinks),
            source_options=SourceOptions(
                size=ask.size_or_none("--input-size", input_size),
                frame_rate=input_fps,
                decoder=decoder,
            ),
            sink_options=SinkOptions(
                size=ask.size_or_none("--output-size", output_size),
                codec=codec,
                encoder=encoder,
                frame_rate=output_fps,
                segment_seconds=segment_seconds,
            ),
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
            ladder=ladder,
            limit=limit,
            seconds=seconds,
            overwrite=overwrite,
            report=report,
            html=html,
            json=json,
            metrics=metrics,
        )
    )


def _what_is_missing(source: str | None) -> str:
    example = "as in: crispstream run clip.mp4 out.mp4"
    if source is None:
        return f"there is no SOURCE and SINK; name them, {example}; or a file of cameras: --config"
    return f"there is no SINK for what comes from '{masked(source)}'; name one, {example}"
