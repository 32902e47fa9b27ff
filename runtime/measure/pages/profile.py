"""The record of `crispstream profile` as one HTML page."""

from collections.abc import Mapping
from html import escape
from pathlib import Path

from crispstream.core.errors import UsageError
from crispstream.core.files import write_atomically
from crispstream.core.sizes import size_text
from crispstream.runtime.measure.figures import Spread
from crispstream.runtime.measure.plan.record import PlanRecord
from crispstream.runtime.measure.profiling.record import Depths, ProfileRecord
from crispstream.runtime.measure.profiling.summary import efficiency_words
from crispstream.runtime.measure.report import WAITING_STAGES, stage_name

from . import frame
from .chart_lines import Panel, timelines
from .chart_spread import histogram_of
from .charts import IN_FLIGHT, stage_kind
from .profile_layers import layer_sections
from .stages import distribution_section, stage_definitions, waterfall_section, with_in_flight
from .words import cost_words, counted, figure, joined, milliseconds, more_or_less, percent, plural

_TERMS = {
    "pipeline efficiency": "how much of the time is the network's. Where frames may be dropped, "
    "its median over that from captured to written: its share of a frame's way. Where all are "
    "kept they wait as long as queues are deep, so its share of the elapsed time.",
    "network busy": "time that the network worked over elapsed time. Near 100 % it sets the "
    "rate; lower ones do not tell what does: the source, copies, or an output.",
    "p50, p99 ...": "durations that half, 99 % ... of the frames did not exceed; within 1 %. "
    "Count, mean and maximum are exact.",
    "slot, queue": "where frames wait: before the restorer, and before an output. Their depth is "
    "noted whenever a frame comes or goes.",
    "dropped": "slot: a newer frame came before the model was free. deadline: it could not be in "
    "time any more. stop: it waited when the run ended. source: it knows it never gave them. "
    "sink: restored, and not taken by an output.",
}
_SMALL = 0.005
"""Parts of a frame's way below this share are not worth a word."""
_LIMITING = 0.9
"""From this share of the time on the network sets the rate; below, a profile does not tell."""
_PERCENTILES = ("50", "95", "99")


def write_html(record: ProfileRecord, path: Path, plan: PlanRecord | None = None) -> None:
    """Write the page, whole or not at all.

    Raises:
        UsageError: if the plan is of another graph.
        OSError: if the file cannot be written.
    """
    write_atomically(path, profile_page(record, plan).encode())


def profile_page(record: ProfileRecord, plan: PlanRecord | None = None) -> str:
    """Return the page; with a plan of the same graph, layers are shown against their roofs.

    Raises:
        UsageError: if the plan is of another graph.
    """
    if plan is not None and plan.graph_sha256 != record.graph_sha256:
        raise UsageError(
            f"the plan is of graph {plan.graph_sha256[:12]} ({plan.model} {plan.precision}), the "
            f"profile of {record.graph_sha256[:12] or 'none'}; plan the bundle and --precision "
            "that were profiled"
        )
    stages = _stages(record)
    means_ms = {name: spread.mean_ms for name, spread in stages.items()}
    told = {**stage_definitions(with_in_flight(means_ms)), **_TERMS}
    rows = [histogram_of(name, spread, stage_kind(name)) for name, spread in stages.items()]
    sections = (
        frame.notes(record.notes),
        _tiles(record),
        _efficiency(record),
        waterfall_section(means_ms),
        _timeline(record),
        _drops(record),
        distribution_section(rows),
        _table(stages),
        *layer_sections(record.layers, plan),
        _observer(record),
        frame.section("What the numbers hold", frame.terms(told)),
        _run(record),
    )
    run = record.run
    footer = frame.footer_line(record.host, record.created, record.kind, record.schema)
    about = f"{escape(str(run.get('source', '')))} &rarr; {escape(str(run.get('sink', '')))}"
    title = f"{run.get('model') or 'stream'}: profile"
    return frame.page(title, frame.Html(about), sections, footer)


def _stages(record: ProfileRecord) -> dict[str, Spread]:
    """Return the stages by the names that people read."""
    live = bool(record.run.get("live"))
    return {stage_name(name, live=live): spread for name, spread in record.stages.items()}


def _tiles(record: ProfileRecord) -> str:
    total = record.stages.get("total")
    p99_ms = total.percentiles_ms.get("99", total.max_ms) if total is not None else 0.0
    run = record.run
    frames = run.get("frames", 0)
    shares = {percent(record.efficiency): "pipeline efficiency"}
    if not _keeps_all(record):  # of which the efficiency is the same figure
        shares.setdefault(percent(_busy(record)), "of the time the network was busy")
    return frame.tiles(
        [
            (milliseconds(record.end_to_end_ms), "ms", "captured to written, median"),
            (milliseconds(p99_ms), "ms", "captured to written, p99"),
            *((share, "", label) for share, label in shares.items()),
            (f"{run.get('frames_per_second') or 0:.1f}", "", "frames/s"),
            (f"{frames}", "", f"{plural(frames, 'frame')}, {run.get('dropped', 0)} dropped"),
        ]
    )


def _efficiency(record: ProfileRecord) -> str:
    """Return where a frame's way goes, in words."""
    if not record.end_to_end_ms:
        return ""
    said = f"{percent(record.efficiency)}: {efficiency_words(record)}. {_rate(record)}"
    way = _way({name: spread.mean_ms for name, spread in record.stages.items()})
    parts = "".join(f"<p>{escape(told)}</p>" for told in (said, way) if told)
    return frame.section("Pipeline efficiency", f'<div class="said">{parts}</div>')


def _way(means_ms: Mapping[str, float]) -> str:
    """Return what a frame's way consists of; means, so that the parts add up."""
    total_ms = means_ms.get("total", 0.0)
    if not total_ms:
        return ""
    of = with_in_flight(means_ms)
    parts = {
        "waits in queues": sum(of.get(name, 0.0) for name in WAITING_STAGES),
        "is copied in and out": of.get("copy_in", 0.0) + of.get("copy_out", 0.0),
        "is in the network": of.get("infer", 0.0),
        "is in flight while the loop is with another frame": of.get(IN_FLIGHT, 0.0),
        "is written": of.get("write", 0.0),
    }
    told = [
        f"{name} for {milliseconds(ms)} ms ({percent(ms / total_ms)})"
        for name, ms in parts.items()
        if ms >= _SMALL * total_ms
    ]
    way = f"On average a frame takes {milliseconds(total_ms)} ms from captured to written"
    return f"{way}: it {joined(told)}." if told else f"{way}."


def _keeps_all(record: ProfileRecord) -> bool:
    return bool(record.run.get("policy") == "all")


def _busy(record: ProfileRecord) -> float:
    return min(record.engine_busy, 1.0)


def _rate(record: ProfileRecord) -> str:
    """Return what the rate is set by, as far as the network's share of the time tells."""
    busy = _busy(record)
    told = f"Over the run the network was busy {percent(busy)} of the time"
    if _keeps_all(record):
        told = "Every frame was kept, so what counts is the rate, not the wait"
    return f"{told}. The network sets the rate." if busy >= _LIMITING else f"{told}."


def _timeline(record: ProfileRecord) -> str:
    total = record.stages.get("total")
    value = ""
    if total is not None:
        value = f"mean {milliseconds(total.mean_ms)} ms, highest {milliseconds(total.max_ms)} ms"
    panels = [Panel("captured to written", value, record.timeline)]
    panels += [_depth_panel(depths) for depths in record.depths]
    chart = timelines("Latency and queues over the run", panels)
    if not chart:
        return ""
    return frame.section(
        "Over the run",
        chart,
        "Mean of each stretch of the run, with the band from its lowest to its highest; each panel "
        "has its own scale, and a triangle marks what lies beyond it. Queues are looked at when a "
        "frame comes or goes, however briefly it stays; the means above them are over time.",
    )


def _depth_panel(depths: Depths) -> Panel:
    place = {"slot": "before the restorer", "queue": "before an output"}.get(depths.name, "")
    name = f"frames in {depths.name}{f', {place}' if place else ''}"
    return Panel(
        name,
        f"mean {figure(depths.mean)}, at most {depths.max}",
        depths.moments,
        unit="",
        cut=False,
    )


def _drops(record: ProfileRecord) -> str:
    run = record.run
    drops: Mapping[str, int] = run.get("drops") or {}
    if not any(drops.values()) and not run.get("live"):
        return ""
    captured = run.get("captured") or 0
    rows = [
        (cause, count, percent(count / captured) if captured else "")
        for cause, count in sorted(drops.items(), key=lambda item: -item[1])
    ]
    return frame.section(
        "Frames lost, by cause",
        frame.table(("cause", "frames", "of captured"), rows),
        f"{counted(captured, 'frame')} captured, {run.get('frames', 0)} restored.",
    )


def _table(stages: Mapping[str, Spread]) -> str:
    rows = {name: _row(spread) for name, spread in stages.items()}
    total = rows.pop("total", None)
    return frame.section(
        "Latency by stage",
        frame.table(
            ("stage", *(f"p{key}" for key in _PERCENTILES), "max", "mean", "jitter", "frames"),
            [(name, *cells) for name, cells in rows.items()],
            last=None if total is None else ("total", *total),
            kind="many",
        ),
        "Milliseconds.",
    )


def _row(spread: Spread) -> list[object]:
    times = [spread.percentiles_ms.get(key, spread.max_ms) for key in _PERCENTILES]
    times += [spread.max_ms, spread.mean_ms, spread.jitter_ms]
    return [*map(milliseconds, times), spread.count]


def _observer(record: ProfileRecord) -> str:
    terms: dict[str, object] = {"the stream": cost_words(record.observer)}
    if (layers := record.layers) is not None and layers.plain_ms:
        more = layers.engine_ms / layers.plain_ms - 1
        terms["the layers"] = (
            f"a frame took {milliseconds(layers.engine_ms)} ms while layers were timed and "
            f"{milliseconds(layers.plain_ms)} ms without, in turns ({more_or_less(more)}). Layers "
            "are timed in runs of their own, so no other figure here holds that."
        )
    return frame.section("What measuring cost", frame.terms(terms))


def _run(record: ProfileRecord) -> str:
    run = record.run
    terms = {
        "model": f"{run.get('model', '')}, {run.get('precision', '')}",
        "backend": run.get("backend", ""),
        "frames": f"{size_text(record.size)} px as the graph takes them, after padding",
        "graph": record.graph_sha256[:12] or "none: bicubic",
        **frame.host_terms(record.host),
    }
    return frame.section("The run and the machine", frame.terms(terms))
