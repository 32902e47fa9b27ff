"""Warnings of `crispstream run` and `build`: one line on standard error, and the work goes on."""

import contextlib
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


def watch_for_drift(restorer: "Restorer") -> "DriftWatch | None":
    """Return the drift watch of what runs, which warns once; None where there is none."""
    from crispstream.runtime.stream.drift import drift_watch

    def warn(departures: "Sequence[Departure]") -> None:
        figures = "; ".join(
            f"{left.figure} {left.value:.3g}, calibrated {left.calibrated_low:.3g} to "
            f"{left.calibrated_high:.3g}"
            for left in departures
        )
        _warn(
            f"the stream has left what {restorer.name} was calibrated for: {figures}. Its "
            "certificate says nothing of such frames; collect frames of this camera and calibrate "
            "again: crispstream data collect SOURCE -o set/"
        )

    return drift_watch(restorer.precision, restorer.input_statistics, warn)


def _warn(text: str) -> None:
    with contextlib.suppress(OSError):  # there may be nobody to read it
        # Not typer.echo, which writes past a progress bar instead of above it.
        sys.stderr.write(f"warning: {text}\n")
