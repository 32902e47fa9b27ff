"""What `crispstream run --config` shows of its cameras: a table while they run, one at the end."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from .warn import counted

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    from crispstream.runtime.stream.cameras.cameras import CameraReport, CamerasReport, CameraState
    from crispstream.runtime.stream.ledger import Snapshot

_COLOURS = {"live": "green", "stalled": "yellow", "lost": "red", "failed": "red"}


def live_table(states: "Mapping[str, CameraState]", note: str = "") -> "Group":
    """Return a line for each camera as it is now; reasons and the note stand below, a line each."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column("camera")
    table.add_column("state", no_wrap=True, min_width=len("connecting"))
    for heading in ("frames/s", "p95 ms", "dropped"):
        table.add_column(heading, no_wrap=True, justify="right", min_width=len(heading))
    table.add_column("rung")
    for state in states.values():
        shown = Text(state.state, style=_COLOURS.get(state.state, ""))
        books = state.snapshot
        figures = ("", "", "") if books is None else _figures(books)
        rung = "" if books is None else books.rung
        table.add_row(_shortened(state.name), shown, *figures, _shortened(rung))
    reasons = [f"{state.name}: {state.why}" for state in states.values() if state.why]
    return Group(table, *(_shortened(line) for line in (*reasons, note) if line))


def _shortened(text: str) -> "Text":
    """Return a text that gives way in a narrow terminal, and stays on its line."""
    from rich.text import Text

    return Text(text, no_wrap=True, overflow="ellipsis")


def _figures(books: "Snapshot") -> tuple[str, str, str]:
    rate, p95_ms = f"{books.frames_per_second:.1f}", f"{books.p95_ms:.0f}"
    lost = _lost(books, "all")  # what waited at the end is told at the end
    return rate, p95_ms, str(sum(lost.values()))


def _lost(books: "Snapshot", policy: str) -> dict[str, int]:
    """Return what was lost, by cause.

    Where the policy is `all`, frames that were read ahead of the end that was asked for are not
    missing.
    """
    return {
        cause: count
        for cause, count in books.dropped.items()
        if count and (cause, policy) != ("stop", "all")
    }


def end_table(report: "CamerasReport") -> "Table":
    """Return a line for each camera with what it came to."""
    from rich.table import Table
    from rich.text import Text

    with_budget = any(camera.camera.budget_ms is not None for camera in report.cameras.values())
    cameras, seconds = counted(len(report.cameras), "camera"), report.elapsed_seconds
    title = f"{cameras} in {seconds:.1f} s; p50 and p95 of capture to restored, ms"
    table = Table(title=title, title_justify="left")
    table.add_column("camera", overflow="fold")
    table.add_column("model", overflow="fold")
    late = ("late",) if with_budget else ()
    for heading in ("frames", "frames/s", "p50", "p95", *late, "dropped"):
        table.add_column(heading, no_wrap=True, justify="right")
    for camera in report.cameras.values():
        broken = camera.error is not None
        what = Text("failed", style="red") if broken else Text(_models(camera))
        table.add_row(Text(camera.name), what, *_totals(camera, with_budget=with_budget))
    return table


def _models(camera: "CameraReport") -> str:
    """Return what restored its frames: of a ladder the rungs that were used."""
    if camera.ladder is None:
        return camera.rung
    return ", ".join(rung.name for rung in camera.ladder.rungs if rung.frames)


def _totals(camera: "CameraReport", *, with_budget: bool) -> Iterator[str]:
    """Give frames, frames/s, p50, p95, late and dropped; nothing without any frame."""
    books, stream = camera.snapshot, camera.stream
    if books is None:
        return
    rate = books.restored / books.seconds if stream is None else stream.frames_per_second
    yield str(books.restored)
    yield f"{rate:.1f}"
    yield f"{books.p50_ms:.1f}"
    yield f"{books.p95_ms:.1f}"
    if with_budget:
        yield "" if books.budget_ms is None else str(books.late)
    yield str(sum(_lost(books, camera.policy).values()))


def end_lines(report: "CamerasReport") -> Iterator[str]:
    """Give what the table has no room for: causes, rungs, reconnects, failed outputs."""
    for camera in report.cameras.values():
        for told in _told(camera):
            yield f"{camera.name}: {told}"


def _told(camera: "CameraReport") -> Iterator[str]:
    books = camera.snapshot
    if books is not None and (lost := _lost(books, camera.policy)):
        causes = ", ".join(f"{cause} {count}" for cause, count in lost.items())
        were = "was" if books.captured == 1 else "were"
        yield f"dropped by cause: {causes}; {counted(books.captured, 'frame')} {were} captured"
    if books is not None and books.reconnects:
        yield f"the source came back {counted(books.reconnects, 'time')}"
    if camera.ladder is not None:
        yield camera.ladder.line()
    for sink in camera.stream.sinks if camera.stream is not None else ():
        if sink.dropped:
            offered = counted(sink.written + sink.dropped, "frame")
            yield f"{sink.name} left out {sink.dropped} of {offered}"


def failures(report: "CamerasReport") -> Iterator[str]:
    """Give a sentence for each camera, or output of one, that failed."""
    for camera in report.cameras.values():
        if camera.error is not None:
            yield f"camera {camera.name}: {camera.error or type(camera.error).__name__}"
        for sink in camera.stream.sinks if camera.stream is not None else ():
            if sink.error:
                yield f"camera {camera.name}: {sink.error}"
