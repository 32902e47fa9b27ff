"""Warnings of `crispstream run` and `build`: one line on standard error, and the work goes on."""

import contextlib
import logging
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crispstream.runtime.restorer import Restorer
    from crispstream.runtime.stream.drift import Departure, DriftWatch


def warn_uncertified(model: str, precision: str) -> None:
    """Say that a graph is used which nothing has shown to look like fp32."""
    _warn(
        f"the {precision} graph of {model} is not certified and was allowed with "
        "--allow-uncertified; its frames may not look like those of fp32"
    )


class _ToStandardError(logging.Handler):
    """Writes what the runtime logs as the kit's other lines are written."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            _warn(record.getMessage())
        else:
            say(record.getMessage())


def show_log() -> None:
    """Write what engines and streams have to say on standard error, once each."""
    for room in ("engine", "stream"):
        log = logging.getLogger(f"crispstream.{room}")
        log.setLevel(logging.INFO)
        if not log.handlers:
            log.addHandler(_ToStandardError())


def watch_for_drift(restorers: "Sequence[Restorer]") -> "DriftWatch | None":
    """Return the drift watch of what runs, best first, which warns once; None where it has none."""
    from crispstream.runtime.stream.drift import watch_of

    def warn(rung: str, departures: "Sequence[Departure]") -> None:
        figures = "; ".join(
            f"{left.figure} {left.value:.3g}, calibrated {left.calibrated_low:.3g} to "
            f"{left.calibrated_high:.3g}"
            for left in departures
        )
        _warn(
            f"the stream has left what {rung} was calibrated for: {figures}. Its "
            "certificate says nothing of such frames; collect frames of this camera and calibrate "
            "again: crispstream data collect SOURCE -o set/"
        )

    return watch_of(restorers, warn)


def counted(number: int, noun: str) -> str:
    """Return a number of things.

    >>> counted(1, "camera"), counted(2, "camera")
    ('1 camera', '2 cameras')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def say(text: str) -> None:
    """Write a line on standard error; standard output is for the result."""
    with contextlib.suppress(OSError):  # there may be nobody to read it
        # Not typer.echo, which writes past a progress bar instead of above it.
        sys.stderr.write(f"{text}\n")


def _warn(text: str) -> None:
    say(f"warning: {text}")
