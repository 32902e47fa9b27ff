"""The options of `crispstream bench`, as typer reads them; trtexec's are in bench_trtexec.py."""

import math
from pathlib import Path
from typing import Annotated

import typer

from crispstream.core.errors import UsageError

_WHAT, _TIME, _REPORTS = "What is timed", "Time", "Reports"


Things = Annotated[
    list[str],
    typer.Argument(
        metavar="THING...",
        help="Shipped names (edge-n), paths of bundles, bicubic, or engine files that build -o "
        "wrote. The first is what the others are compared with.",
        show_default=False,
    ),
]
Precisions = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="LIST",
        help="One or more, as fp32,int8: each bundle in each of them. auto: what run would take.",
        rich_help_panel=_WHAT,
    ),
]
Backend = Annotated[
    str,
    typer.Option(
        help="auto: the best that works here; or tensorrt, tensorrt-rtx, onnxruntime-cuda, "
        "onnxruntime (CPU).",
        rich_help_panel=_WHAT,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        help="auto; cpu; or the number of a GPU, as nvidia-smi counts.", rich_help_panel=_WHAT
    ),
]
Size = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Size of the frames, WIDTHxHEIGHT in pixels; by default 320x180, or what the engine "
        "files are made for.",
        rich_help_panel=_WHAT,
    ),
]
Scopes = Annotated[
    str,
    typer.Option(
        metavar="LIST",
        help="engine: the network alone. copies: a frame in, a restored one out. end_to_end: "
        "captured to written, in the stream's loop.",
        rich_help_panel=_WHAT,
    ),
]
NoCudaGraph = Annotated[
    bool,
    typer.Option(
        "--no-cuda-graph",
        help="On TensorRT: enqueue frames call by call.",
        rich_help_panel=_WHAT,
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(
        min=1, help="CPU threads of the engine; every core by default.", rich_help_panel=_WHAT
    ),
]
AllowUncertified = Annotated[
    bool,
    typer.Option(
        "--allow-uncertified",
        help="Time a named fp16 or int8 as it is, unverified.",
        rich_help_panel=_WHAT,
    ),
]

Seconds = Annotated[
    float | None,
    typer.Option(
        help="How long to measure, all variants and scopes together; 20 by default.",
        show_default=False,
        rich_help_panel=_TIME,
    ),
]
Iterations = Annotated[
    int,
    typer.Option(help="Frames of each variant and scope at least.", rich_help_panel=_TIME),
]
WarmUpMs = Annotated[
    float | None,
    typer.Option(
        "--warm-up-ms",
        "--warm-up",
        help="How long each variant runs untimed before; 500 by default.",
        show_default=False,
        rich_help_panel=_TIME,
    ),
]
PacedFps = Annotated[
    float | None,
    typer.Option(
        "--paced-fps",
        "--paced",
        metavar="FPS",
        help="Give frames at this rate, as a camera does: processors clock down between them. By "
        "default each comes as soon as the one before is done.",
        rich_help_panel=_TIME,
    ),
]
IdleMs = Annotated[
    float | None,
    typer.Option(
        help="Pause before each frame; 0 by default.", show_default=False, rich_help_panel=_TIME
    ),
]
DeadlineMs = Annotated[
    float | None,
    typer.Option(help="Count the frames that take longer.", rich_help_panel=_TIME),
]
Percentiles = Annotated[
    str,
    typer.Option(
        "--percentile",
        metavar="LIST",
        help="Further percentiles, as 75,99.5, beside 50, 90, 95, 99 and 99.9.",
        show_default=False,
        rich_help_panel=_TIME,
    ),
]

Report = Annotated[
    Path | None,
    typer.Option(
        help="Write the figures to this JSON file; crispstream compare reads it.",
        rich_help_panel=_REPORTS,
    ),
]
Html = Annotated[
    Path | None,
    typer.Option(help="Write the figures to this HTML page.", rich_help_panel=_REPORTS),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print the figures as one line.", rich_help_panel=_REPORTS),
]
ExportTimes = Annotated[
    Path | None,
    typer.Option(
        help="Write the times of single frames as trtexec does; of one variant.",
        rich_help_panel=_REPORTS,
    ),
]


def listed(option: str, text: str) -> list[str]:
    """Return the words of a list with commas.

    >>> listed("--precision", "fp32, int8")
    ['fp32', 'int8']

    Raises:
        UsageError: if a word is missing.
    """
    words = [word.strip() for word in text.split(",")]
    if not all(words):
        raise UsageError(f"{option} '{text}' has an empty place; give words with commas between")
    return words


def percentiles(text: str) -> list[float]:
    """Return the percentiles of a list.

    Raises:
        UsageError: if one is no number above 0 and below 100, or has too many digits.
    """
    from crispstream.runtime.measure.gather import percentile_key

    found = []
    for word in listed("--percentile", text) if text else ():
        try:
            number = float(word)
        except ValueError:
            number = math.nan
        if not 0 < number < 100:
            raise UsageError(
                f"--percentile '{word}' is not above 0 and below 100; give for instance 75,99.5"
            )
        percentile_key(number)
        found.append(number)
    return found


def check_not_negative(option: str, number: float | None) -> None:
    """Raise UsageError unless a number that was given is finite and 0 or more."""
    if number is not None and not (number >= 0 and math.isfinite(number)):
        raise UsageError(f"{option} is {number:g}; give 0 or a finite number above")


def scopes_of(text: str) -> list[str]:
    """Return the scopes of a list; a dash is as good as an underscore.

    Raises:
        UsageError: if there is none of that name.
    """
    from crispstream.core.registry import did_you_mean
    from crispstream.runtime.measure.bench.record import SCOPES

    found = [word.replace("-", "_") for word in listed("--scopes", text)]
    for word in found:
        if word not in SCOPES:
            raise UsageError(
                f"there is no scope '{word}'; {did_you_mean(word, list(SCOPES))}choose from "
                f"{', '.join(SCOPES)}"
            )
    return found
