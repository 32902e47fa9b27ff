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
    Path | None,
    typer.Option(
        "--export-layer-info",
        "--exportLayerInfo",
        help="Write what the layers are as trtexec's --exportLayerInfo does.",
        rich_help_panel=_REPORTS,
    ),
]
Roof = Annotated[
    str | None,
    typer.Option(
        "--roof",
        help="With --html: show the layers against what this device could do at best; a name or "
        "TOML of crispstream plan, such as orin-nano or cpu.",
        rich_help_panel=_REPORTS,
    ),
]
BudgetMs = Annotated[
    float | None,
    typer.Option(
        "--budget-ms",
        help="Milliseconds from capture to restored: counts late frames, and the policy deadline "
        "skips them. No smaller model steps in: a profile is of one.",
        rich_help_panel="Time and loss",
    ),
]
