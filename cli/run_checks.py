"""Requests of `crispstream run` that are refused before any work is spent on them."""

import math
from collections.abc import Mapping
from pathlib import Path

import typer

from crispstream.core.errors import UsageError
from crispstream.core.files import IMAGE_EXTENSIONS
from crispstream.core.uris import masked

BESIDE_CONFIG = ("config", "device", "seconds", "report", "json", "metrics")
"""Names of the options that go with --config; what else there is stands in the file."""
_REPORT_ENDINGS = (".json", ".html", ".htm")


def check_reports(report: Path | None, html: Path | None, source: str, sink: str) -> None:
    """Make sure that writing the reports destroys nothing but older reports.

    Raises:
        UsageError: as `check_files` does.
    """
    check_files({"--report": report, "--html": html}, source, sink)


def check_files(files: Mapping[str, Path | None], source: str = "://", sink: str = "://") -> None:
    """Make sure that the files of some options, None if not given, destroy nothing.

    Raises:
        UsageError: if a path is the source, the output, one of the others, a folder, in a folder
            that is not there, or a file that does not look like a report.
    """
    taken = {
        name: Path(uri) for name, uri in (("source", source), ("output", sink)) if "://" not in uri
    }
    for option, path in files.items():
        if path is not None:
            _check_report(option, path, taken)
            taken[option] = path


def _check_report(option: str, path: Path, taken: dict[str, Path]) -> None:
    for name, other in taken.items():
        if _same(path, other):
            raise UsageError(f"{option} '{path}' is the {name} of this run; name another file")
    if path.is_dir():
        raise UsageError(f"{option} '{path}' is a folder; name a file in it")
    if not path.parent.is_dir():
        raise UsageError(
            f"the folder '{path.parent}' for {option} does not exist; create it or name another"
        )
    if path.exists() and path.suffix.lower() not in _REPORT_ENDINGS:
        raise UsageError(
            f"{option} '{path}' exists and is no report by its name, so it is kept; name a file "
            "that ends in .json or .html"
        )


def _same(path: Path, other: Path) -> bool:
    if path.exists() and other.exists():
        return path.samefile(other)
    return path.resolve() == other.resolve()


def check_one_image(sink: str, source: str, frame_count: int | None, limit: int | None) -> None:
    """Make sure that an image file as the output gets one frame.

    Raises:
        UsageError: if the source has more, by all that is known of it.
    """
    path = Path(sink)
    if "://" in sink or path.suffix.lower() not in IMAGE_EXTENSIONS or path.is_dir():
        return
    frames = min((n for n in (frame_count, limit) if n is not None), default=1)
    if frames > 1:
        raise UsageError(
            f"'{masked(source)}' has about {frames} frames and '{sink}' holds one; add --limit 1 "
            "for the first, or name a folder or a video as the output"
        )


def check_positive(option: str, number: float | None) -> None:
    """Raise UsageError unless a number that was given is finite and more than 0."""
    if number is not None and not (number > 0 and math.isfinite(number)):
        raise UsageError(f"{option} is {number:g}; give a finite number above 0")


def check_beside_config(context: typer.Context, config: Path, source: str | None) -> None:
    """Make sure that nothing was asked for which --config would not heed.

    Raises:
        UsageError: naming the option, and what to write in the file instead.
    """
    if source is not None:
        raise UsageError(
            f"--config '{config}' names the sources and sinks; leave out '{masked(source)}', or "
            "--config"
        )
    for parameter in context.command.params:
        name = parameter.name or ""
        if name not in BESIDE_CONFIG and _was_given(context, name):
            raise UsageError(_instead(parameter.opts[0], name, config))


def _was_given(context: typer.Context, name: str) -> bool:
    origin = context.get_parameter_source(name)
    return origin is not None and origin.name == "COMMANDLINE"


def _instead(option: str, name: str, config: Path) -> str:
    from crispstream.runtime.stream.cameras.keys import KEYS, RUN_KEYS

    if name not in KEYS and name not in RUN_KEYS:
        return f"{option} is for one stream, and '{config}' is run instead; leave one of them out"
    value = "true" if name in ("overwrite", "allow_uncertified") else "..."
    return f"{option} is not heeded beside --config; write `{name} = {value}` in '{config}'"
