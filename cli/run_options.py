"""The options of `crispstream run`, by what they are about, with their help."""

from pathlib import Path
from typing import Annotated

import typer

from crispstream.core.errors import UsageError
from crispstream.core.sizes import Size, parse_size

_SOURCE, _RESTORING, _TIME, _SINK = "Source", "Restoring", "Time and loss", "Output"
_REPORTS = "Reports"

SourceUri = Annotated[
    str | None,
    typer.Argument(
        help="Video, image, folder, 'frames/*.png', camera (0, v4l2://, csi://), stream (rtsp://, "
        "rtmp://, udp://, http://), gst:PIPELINE, or synth://pattern.",
        show_default=False,
    ),
]
SinkUris = Annotated[
    list[str] | None,
    typer.Argument(
        help="One or more: video (.mp4 .mov .m4v .mkv), image, folder, rtsp:// rtmp:// udp:// "
        "srt://, preview://127.0.0.1:8080, timecode://, or null://.",
        show_default=False,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        help="A TOML file of cameras, instead of SOURCE and SINK. With it go --device, --seconds, "
        "--report, --json and --metrics; all else stands in the file."
    ),
]

InputSize = Annotated[
    str | None,
    typer.Option(help="Ask a camera for WIDTHxHEIGHT pixels.", rich_help_panel=_SOURCE),
]
InputFps = Annotated[
    float | None,
    typer.Option(
        "--input-fps",
        "--fps",
        help="Frames per second: asked of a camera, or given to images (25 by default).",
        rich_help_panel=_SOURCE,
    ),
]
Decoder = Annotated[
    str, typer.Option(help="auto, nvdec (the GPU's), or cpu.", rich_help_panel=_SOURCE)
]
Roi = Annotated[
    str | None,
    typer.Option(help="Restore only X,Y,WIDTH,HEIGHT of the picture.", rich_help_panel=_SOURCE),
]

Model = Annotated[
    str,
    typer.Option(help="Shipped name, path of a bundle, or bicubic.", rich_help_panel=_RESTORING),
]
Precision = Annotated[
    str,
    typer.Option(
        help="auto: fastest certified; or fp32, fp16, int8 (int8-cpu on a CPU).",
        rich_help_panel=_RESTORING,
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        help="auto: the best that works here; or tensorrt, tensorrt-rtx, onnxruntime-cuda, "
        "onnxruntime (CPU).",
        rich_help_panel=_RESTORING,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        help="auto; cpu: decoder, network and encoder on the CPU; or the number of a GPU for all "
        "three, as nvidia-smi counts.",
        rich_help_panel=_RESTORING,
    ),
]
NoCudaGraph = Annotated[
    bool,
    typer.Option(
        "--no-cuda-graph",
        help="On TensorRT: enqueue frames call by call.",
        rich_help_panel=_RESTORING,
    ),
]
Tile = Annotated[
    str | None,
    typer.Option(
        help="Cut frames larger than WIDTHxHEIGHT into tiles of this size.",
        rich_help_panel=_RESTORING,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="CPU threads of the engine; every core by default.",
        rich_help_panel=_RESTORING,
    ),
]
AllowUncertified = Annotated[
    bool,
    typer.Option(
        "--allow-uncertified",
        help="Run a named fp16 or int8 as it is, unverified.",
        rich_help_panel=_RESTORING,
    ),
]

Policy = Annotated[
    str,
    typer.Option(
        help="all: every frame. latest: drop what is late. deadline: skip what cannot be in time. "
        "auto: all for files, latest for live, deadline for live with a budget.",
        rich_help_panel=_TIME,
    ),
]
BudgetMs = Annotated[
    float | None,
    typer.Option(
        help="Milliseconds from capture to restored; smaller models step in to keep it.",
        rich_help_panel=_TIME,
    ),
]
LadderNames = Annotated[
    str,
    typer.Option(
        "--ladder",
        help="With a budget. auto: smaller models down to bicubic; or rungs, best first, as "
        "edge-s,edge-n:int8-cpu,bicubic; or off.",
        rich_help_panel=_TIME,
    ),
]
Limit = Annotated[
    int | None, typer.Option(min=1, help="Stop after so many frames.", rich_help_panel=_TIME)
]
Seconds = Annotated[
    float | None, typer.Option(help="Stop after so many seconds.", rich_help_panel=_TIME)
]

OutputSize = Annotated[
    str | None,
    typer.Option(
        help="Bring the output to WIDTHxHEIGHT pixels; 4 x the input by default.",
        rich_help_panel=_SINK,
    ),
]
OutputFps = Annotated[
    float | None,
    typer.Option(
        "--output-fps",
        help="Write videos at a constant rate; by default every frame keeps its time.",
        rich_help_panel=_SINK,
    ),
]
Codec = Annotated[str, typer.Option(help="h264 or hevc.", rich_help_panel=_SINK)]
Encoder = Annotated[
    str, typer.Option(help="auto, nvenc (the GPU's), or cpu.", rich_help_panel=_SINK)
]
SegmentSeconds = Annotated[
    float | None,
    typer.Option(help="Begin a new video file each so many seconds.", rich_help_panel=_SINK),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace the output.", rich_help_panel=_SINK)
]

Report = Annotated[
    Path | None,
    typer.Option(help="Write the figures to this JSON file.", rich_help_panel=_REPORTS),
]
Html = Annotated[
    Path | None,
    typer.Option(help="Write the figures to this HTML page.", rich_help_panel=_REPORTS),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print the figures as one line.", rich_help_panel=_REPORTS),
]
Metrics = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Serve live figures to Prometheus, as at 127.0.0.1:9464; port 0: any free one.",
        rich_help_panel=_REPORTS,
    ),
]


def size_or_none(option: str, text: str | None) -> Size | None:
    """Read a size that may be left out.

    Raises:
        UsageError: naming the option, if it is no size.
    """
    if text is None:
        return None
    try:
        return parse_size(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error}") from error
