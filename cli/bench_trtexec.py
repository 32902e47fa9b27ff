"""trtexec's spellings of what `crispstream bench` does, and answers where it does something else.

All are hidden: they would double the width of the help page.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from crispstream.core.errors import UsageError


def _instead(sentence: str) -> Callable[[object], None]:
    """Return a callback for an option that only says what to give instead."""

    def refuse(value: object) -> None:
        if value:
            raise UsageError(sentence)

    return refuse


# The same in its words.
Duration = Annotated[float | None, typer.Option("--duration", hidden=True)]
WarmUp = Annotated[float | None, typer.Option("--warmUp", hidden=True)]
IdleTime = Annotated[float | None, typer.Option("--idleTime", hidden=True)]
NoCudaGraphToo = Annotated[bool, typer.Option("--noCudaGraph", hidden=True)]
ExportTimesToo = Annotated[Path | None, typer.Option("--exportTimes", hidden=True)]
# What is the way of this command anyway: accepted, so that a line from elsewhere works.
UseCudaGraph = Annotated[bool, typer.Option("--useCudaGraph", hidden=True)]
IncludeDataTransfers = Annotated[bool, typer.Option("--includeDataTransfers", hidden=True)]

# What trtexec has and this has not: each is answered with what to give instead.
_SHAPES = _instead("shapes are frame sizes here: use --size WIDTHxHEIGHT")
_STREAMS = _instead(
    "there is no --infStreams: a bench has one frame under way at a time, for that is what latency "
    "is; many streams at once are for crispstream run --config"
)
_PROFILES = _instead(
    "a bench does not time layers, which costs time: use crispstream profile --export-profile FILE"
)


_FP16 = _instead("there is no --fp16: use --precision fp16, or fp32,fp16 for both")
_INT8 = _instead("there is no --int8: use --precision int8, or fp32,int8 for both")
Fp16 = Annotated[bool, typer.Option("--fp16", hidden=True, callback=_FP16)]
Int8 = Annotated[bool, typer.Option("--int8", hidden=True, callback=_INT8)]
Best = Annotated[
    bool,
    typer.Option(
        "--best",
        hidden=True,
        callback=_instead("there is no --best: use --precision auto, or fp32,fp16,int8 to see"),
    ),
]
LoadEngine = Annotated[
    str | None,
    typer.Option(
        "--loadEngine",
        hidden=True,
        callback=_instead(
            "there is no --loadEngine: give the engine file by itself, as in: crispstream bench "
            "x.engine"
        ),
    ),
]
Onnx = Annotated[
    str | None,
    typer.Option(
        "--onnx",
        hidden=True,
        callback=_instead(
            "there is no --onnx: give a shipped name or a bundle's path, which crispstream export "
            "makes"
        ),
    ),
]
Shapes = Annotated[str | None, typer.Option("--shapes", hidden=True, callback=_SHAPES)]
OptShapes = Annotated[str | None, typer.Option("--optShapes", hidden=True, callback=_SHAPES)]
AvgRuns = Annotated[
    str | None,
    typer.Option(
        "--avgRuns",
        hidden=True,
        callback=_instead(
            "there is no --avgRuns: percentiles and the time line are of single frames; for each "
            "of them give --export-times FILE"
        ),
    ),
]
UseSpinWait = Annotated[
    bool,
    typer.Option(
        "--useSpinWait",
        hidden=True,
        callback=_instead("there is no --useSpinWait: a bench waits for frames as a stream does"),
    ),
]
NoDataTransfers = Annotated[
    bool,
    typer.Option(
        "--noDataTransfers",
        hidden=True,
        callback=_instead("there is no --noDataTransfers: use --scopes engine"),
    ),
]
InfStreams = Annotated[str | None, typer.Option("--infStreams", hidden=True, callback=_STREAMS)]
DumpProfile = Annotated[bool, typer.Option("--dumpProfile", hidden=True, callback=_PROFILES)]
ExportProfile = Annotated[
    str | None, typer.Option("--exportProfile", hidden=True, callback=_PROFILES)
]
