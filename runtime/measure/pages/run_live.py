"""The part of the HTML page that only a live stream has: losses, outputs, rungs, states."""

from collections.abc import Mapping

from crispstream.runtime.measure.report import RunReport

from .frame import table
from .words import figure

_MOST_EVENTS = 40
"""States shown; the JSON has all that were kept."""


def live_sections(report: RunReport) -> list[tuple[str, str, str]]:
    """Return (heading, note, content) of each section that has anything to tell."""
    sections = (_losses(report), _outputs(report), _rungs(report), _states(report))
    return [section for section in sections if section is not None]


def _losses(report: RunReport) -> tuple[str, str, str] | None:
    stream = report.stream
    if not stream.live and not any(stream.drops.values()) and report.budget_ms is None:
        return None
    rows = [("captured", stream.captured), ("restored", stream.frames)]
    rows += [(f"dropped: {cause}", count) for cause, count in stream.drops.items()]
    if report.budget_ms is not None:
        rows += [(f"later than {report.budget_ms:g} ms", stream.late)]
    rows += [("late or dropped in a row, at most", stream.missed_in_a_row)]
    spread = stream.intervals
    note = (
        f"From one restored frame to the next: p50 {spread.get('p50_ms', 0):.1f} ms, p99 "
        f"{spread.get('p99_ms', 0):.1f} ms, jitter {stream.jitter_ms:.1f} ms."
    )
    return "Every frame accounted for", note, table(("", "frames"), rows)


def _outputs(report: RunReport) -> tuple[str, str, str] | None:
    sinks = report.stream.sinks
    if len(sinks) < 2 and not any(sink.dropped or sink.error or sink.figures for sink in sinks):
        return None
    rows = [
        (
            sink.name,
            sink.written,
            sink.dropped,
            f"{sink.latencies['write']['p95_ms']:.1f}",
            "; ".join([*_figures(sink.figures), *([sink.error] if sink.error else [])]),
        )
        for sink in sinks
    ]
    heads = ("output", "written", "left out", "write p95, ms", "tells")
    return (
        "Outputs",
        "Frames; each output has a thread and a queue of its own.",
        table(heads, rows, words=("tells",)),
    )


def _figures(figures: Mapping[str, float]) -> list[str]:
    return [f"{name} {figure(value)}" for name, value in figures.items()]


def _rungs(report: RunReport) -> tuple[str, str, str] | None:
    if report.ladder is None:
        return None
    rows = [
        (rung.name, rung.frames, rung.missed, f"{rung.seconds:.1f}", f"{rung.cost_ms:.1f}")
        for rung in report.ladder.rungs
    ]
    note = (
        f"Best first, for a budget of {report.ladder.budget_ms:g} ms; changes: "
        f"{report.ladder.changes}. The cost is what a frame took before the run."
    )
    heads = ("rung", "frames", "missed", "seconds", "cost, ms")
    return "Ladder", note, table(heads, rows)


def _states(report: RunReport) -> tuple[str, str, str] | None:
    events = report.stream.events
    if not any(event.state in ("stalled", "lost") or event.why for event in events):
        return None
    shown = events[-_MOST_EVENTS:]
    rows = [(f"{event.seconds:.1f}", event.state, event.why) for event in shown]
    note = f"Reconnects: {report.stream.reconnects}."
    if len(shown) < len(events):
        note += f" The last {len(shown)} of {len(events)} changes."
    return "The source", note, table(("second", "state", "why"), rows, words=("state", "why"))
