"""A trace for chrome://tracing and Perfetto: the threads at work, and the life of each frame.

The form is Google's "Trace Event Format": complete events (X) on tracks of threads, nestable
asynchronous events (b, e) for what overlaps, counters (C) and instants (i). Times are microseconds.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from crispstream.core.files import write_atomically

from .record import LayerProfile
from .watching import Event, Profiler

Entry = dict[str, Any]

_STREAM, _LAYERS = 1, 2
_CAPTURE, _RESTORER, _WRITER = 1, 2, 3
_THREADS = {_CAPTURE: "capture", _RESTORER: "restorer", _WRITER: "first output"}
_AT_WORK = {
    "decode": (_CAPTURE, ("next frame",)),
    "copy_in": (_RESTORER, ("copy in",)),
    "infer": (_RESTORER, ("start the network", "wait for the network")),
    "copy_out": (_RESTORER, ("copy out",)),
    "write": (_WRITER, ("write",)),
}
"""Stage -> the thread it keeps busy, and what that does from each pair of stamps."""
_IN_A_LIFE = ("wait", "copy_in", "infer", "copy_out", "write_wait", "write")
_WORDS = {"wait": "wait for the restorer", "write_wait": "wait for the output", "infer": "network"}


def write_trace(profiler: Profiler, path: Path, layers: LayerProfile | None = None) -> None:
    """Write what a profiler kept, whole or not at all.

    Raises:
        OSError: if the file cannot be written.
    """
    write_atomically(path, json.dumps(trace(profiler, layers)).encode())


def trace(profiler: Profiler, layers: LayerProfile | None = None) -> dict[str, Any]:
    """Return the trace as JSON content; of a run beyond `watching.MOST_EVENTS` the last part."""
    events = list(with_serials(list(profiler.events)))
    begun_ns = min((event.stamps_ns[0] for event in events), default=0)
    entries = [*_names(layers), *_work(events, begun_ns), *_lives(events, begun_ns)]
    entries += _lost(events, begun_ns)
    entries += [
        _entry("C", "frames waiting", waiting.at_ns, begun_ns, args=dict(waiting.depths))
        for waiting in profiler.waiting
    ]
    if layers is not None:
        entries += _layers(layers)
    left_out = profiler.seen - len(events)
    return {
        "traceEvents": entries,
        "displayTimeUnit": "ms",
        "otherData": {"made by": "crispstream profile", "events left out": left_out},
    }


def with_serials(events: Sequence[Event]) -> Iterator[Event]:
    """Give the restorer's stages the serials of their frames.

    It does not know them, but works on frames in the order they were taken, and what was skipped
    never gets as far as `copy_in`.
    """
    taken = -1
    inside: dict[str, deque[int]] = {"infer": deque(), "copy_out": deque()}
    for event in events:
        serial = event.serial
        if event.stage == "wait":
            taken = serial
        elif event.stage == "copy_in":
            serial = taken
            for waiting in inside.values():
                waiting.append(serial)
        elif event.stage in inside:
            waiting = inside[event.stage]
            serial = waiting.popleft() if waiting else -1
        yield event._replace(serial=serial)


def _entry(phase: str, name: str, at_ns: int, begun_ns: int, **more: Any) -> Entry:  # noqa: ANN401
    entry = {"ph": phase, "name": name, "pid": _STREAM, "ts": (at_ns - begun_ns) / 1e3}
    return {**entry, **more}


def _names(layers: LayerProfile | None) -> Iterator[Entry]:
    yield {"ph": "M", "name": "process_name", "pid": _STREAM, "args": {"name": "stream"}}
    for thread, name in _THREADS.items():
        where = {"pid": _STREAM, "tid": thread}
        yield {"ph": "M", "name": "thread_name", **where, "args": {"name": name}}
        yield {"ph": "M", "name": "thread_sort_index", **where, "args": {"sort_index": thread}}
    if layers is not None:
        name = f"one frame, layer by layer (means of {layers.how}, a run of its own)"
        yield {"ph": "M", "name": "process_name", "pid": _LAYERS, "args": {"name": name}}


def _work(events: Iterable[Event], begun_ns: int) -> Iterator[Entry]:
    """Return what each thread did, as bars on its track."""
    for event in events:
        if event.stage not in _AT_WORK:
            continue
        thread, names = _AT_WORK[event.stage]
        pairs = zip(event.stamps_ns[::2], event.stamps_ns[1::2], strict=True)
        for name, (begin_ns, end_ns) in zip(names, pairs, strict=True):
            yield _entry(
                "X", name, begin_ns, begun_ns, tid=thread, dur=(end_ns - begin_ns) / 1e3,
                args={"frame": event.serial},
            )  # fmt: skip


def _lives(events: Sequence[Event], begun_ns: int) -> Iterator[Entry]:
    """Return the life of each frame that was written, with its stages nested inside."""
    written = {event.serial: event for event in events if event.stage == "total"}
    for serial, total in written.items():
        yield from _nested(f"frame {serial}", serial, total.stamps_ns, begun_ns)
    for event in events:
        if event.stage in _IN_A_LIFE and event.serial in written:
            name = _WORDS.get(event.stage, event.stage.replace("_", " "))
            yield from _nested(name, event.serial, event.stamps_ns, begun_ns)


def _nested(
    name: str, serial: int, stamps_ns: tuple[int, ...], begun_ns: int
) -> tuple[Entry, Entry]:
    where = {"cat": "frame", "id": serial, "tid": _WRITER}
    begin_ns, end_ns = stamps_ns[0], stamps_ns[-1]
    return (
        _entry("b", name, begin_ns, begun_ns, **where, args={"frame": serial}),
        _entry("e", name, end_ns, begun_ns, **where),
    )


def _lost(events: Sequence[Event], begun_ns: int) -> Iterator[Entry]:
    """Return a mark for each frame that was captured or taken and went no further."""
    by_stage: Mapping[str, set[int]] = {
        stage: {event.serial for event in events if event.stage == stage}
        for stage in ("wait", "copy_in")
    }
    last = max(by_stage["wait"], default=-1)
    for event in events:
        if event.serial >= last:
            continue
        gone = {"decode": "wait", "wait": "copy_in"}.get(event.stage)
        if gone is not None and event.serial not in by_stage[gone]:
            cause = "slot" if gone == "wait" else "deadline"
            thread = _CAPTURE if gone == "wait" else _RESTORER
            yield _entry(
                "i", f"dropped: {cause}", event.stamps_ns[-1], begun_ns, s="t", tid=thread,
                args={"frame": event.serial},
            )  # fmt: skip


def _layers(profile: LayerProfile) -> Iterator[Entry]:
    """Return the layers of a mean frame, end to end."""
    at_us = 0.0
    for layer in profile.layers:
        length_us = 1e3 * layer.spread.mean_ms
        yield {
            "ph": "X", "name": layer.name, "pid": _LAYERS, "tid": 1, "ts": at_us, "dur": length_us,
            "args": {
                "op": layer.op, "precision": layer.precision, "nodes": list(layer.nodes),
                "shape": list(layer.shape),
            },
        }  # fmt: skip
        at_us += length_us
