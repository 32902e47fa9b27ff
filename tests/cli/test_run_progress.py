"""The line at a terminal is true while no frame comes, and what a signal did is told rightly."""

import io
import signal

import pytest
from rich.console import Console

from crispstream.cli.run_output import stopped_line
from crispstream.cli.run_progress import BooksProgress
from crispstream.runtime.stream.health import Health
from crispstream.runtime.stream.ledger import Ledger
from crispstream.runtime.stream.outcome import SinkOutcome, StreamReport

SINKS = ("out.mp4", "rtsp://me:secret@host/x")


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger(Health("rtsp://host/door"), budget_ms=33.0)
    ledger.health.enter("live")
    return ledger


def restore(ledger: Ledger, frames: int) -> None:
    for _ in range(frames):
        ledger.capture()
        ledger.restore(7_000_000, "edge-n int8-cpu")


def drawn(ledger: Ledger, *, total: int | None = None, live: bool = True) -> str:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    line = BooksProgress(ledger, total, live=live, console=console, disable=True)
    console.print(line.get_renderable())
    return console.file.getvalue()


def test_an_outage_is_seen_though_no_frame_comes(ledger: Ledger) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    line = BooksProgress(ledger, None, live=True, console=console, disable=True)
    restore(ledger, 3)
    console.print(line.get_renderable())
    ledger.health.enter("lost", "nothing came")
    ledger.drop("slot", 2)
    console.print(line.get_renderable())
    before, during = console.file.getvalue().splitlines()
    assert "3 frames" in before
    assert ", 0 dropped, live, " in before
    assert ", 2 dropped, lost, " in during
    assert during.rstrip().endswith("0 late, edge-n int8-cpu")


def test_a_live_stream_fits_a_line_of_80(ledger: Ledger) -> None:
    restore(ledger, 1)
    ledger.health.enter("stalled")
    ledger.drop("slot", 99_999)
    assert drawn(ledger).count("\n") == 1


def test_a_file_has_a_bar_and_no_state(ledger: Ledger) -> None:
    restore(ledger, 3)
    said = drawn(ledger, total=12, live=False)
    assert "3/12" in said
    assert "━" in said
    assert "live" not in said


def stream(frames: int, *, live: bool, error: str = "") -> StreamReport:
    sinks = tuple(SinkOutcome(name, frames, 0, 1, error, {}, {}) for name in SINKS)
    return StreamReport(
        frames,
        dropped=0,
        damaged=0,
        stopped=True,
        elapsed_seconds=1.0,
        frames_per_second=1.0,
        first_frame_ms=1.0,
        cpu_seconds=1.0,
        latencies={},
        peak_depths={},
        live=live,
        sinks=sinks,
    )


@pytest.mark.parametrize(
    ("came", "sinks", "said"),
    [
        (None, SINKS, " before the first frame; nothing was written"),
        (stream(0, live=True), SINKS, " before the first frame; nothing was written"),
        (stream(188, live=True), SINKS, " after 188 frames; all outputs are finished"),
        (stream(1, live=True), SINKS, " after 1 frame; all outputs are finished"),
        (
            stream(2, live=True, error="full"),
            SINKS,
            " after 2 frames; the outputs that did not fail are ",
        ),
        (stream(12, live=False), SINKS[:1], ": the output 'out.mp4' is partial, 12 frames"),
        (
            stream(1, live=False),
            SINKS,
            ": the outputs 'out.mp4' and 'rtsp://***@host/x' are partial, 1 frame",
        ),
    ],
)
def test_a_signal_is_no_damage_for_what_is_live(
    came: StreamReport | None, sinks: tuple[str, ...], said: str
) -> None:
    assert stopped_line(signal.SIGINT, sinks, came).startswith(f"stopped by SIGINT{said}")
