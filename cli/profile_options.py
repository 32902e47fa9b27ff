"""The options that `crispstream profile` has of its own."""

from pathlib import Path
from typing import Annotated

import typer

_OUTPUT, _REPORTS = "Output", "Reports"

Source = Annotated[
    str,
    typer.Argument(
        help="What to restore: as SOURCE of crispstream run.",
        show_default=False,
    ),
]
Sink = Annotated[
    str,
    typer.Option(
        "--sink",
        help="Where the frames go: null:// throws them away; anything else is part of the profile.",
        rich_help_panel=_OUTPUT,
    ),
]
NoLayers = Annotated[
    bool,
    typer.Option(
        "--no-layers", help="Do not time the network layer by layer afterwards.",
        rich_help_panel=_REPORTS,
    ),
]  # fmt: skip
Trace = Annotated[
    Path | None,
    typer.Option(
        help="Write a trace for Perfetto (ui.perfetto.dev) or chrome://tracing.",
        rich_help_panel=_REPORTS,
    ),
]
ExportProfile = Annotated[
    Path | None,
    typer.Option(
        "--export-profile",
        "--exportProfile",
        help="Write the layers as trtexec's --exportProfile does.",
        rich_help_panel=_REPORTS,
    ),
]
ExportLayerInfo = Annotated[
    Path | None, typer.Option("--export-layer-info", "--exportLayerInfo", hidden=True)
]
SeparateProfileRun = Annotated[bool, typer.Option("--separateProfileRun", hidden=True)]
