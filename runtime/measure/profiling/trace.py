"""A trace for chrome://tracing and Perfetto: the threads at work, and the life of each frame.

The form is Google's "Trace Event Format": complete events (X) on tracks of threads, nestable
asynchronous events (b, e) for what overlaps, counters (C) and instants (i). Times are microseconds.
"""

import json
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
_PLACES = {"slot": "for the restorer", "queue": "for an output"}
_IN_A_LIFE = ("wait", "copy_in", "infer", "copy_out", "write_wait", "write")
_WORDS = {"wait": "wait for the restorer", "write_wait": "wait for the output", "infer": "network"}


def write_trace(profiler: Profiler, path: Path, layers: LayerProfile | None = None) -> None:
    """Write what a profiler kept, whole or not at all; of a long run the last part.

    Raises:
        OSError: if the file cannot be written.
    """
    left_out = profiler.left_out
    about = {"made by": "crispstream profile", "events left out": left_out}
    head = f'{{"displayTimeUnit": "ms", "otherData": {json.dumps(about)}, "traceEvents": [\n'
    # One entry at a time: together they would take several times the room of their text.
    rows = ",\n".join(json.dumps(entry) for entry in entries(profiler, layers))
    write_atomically(path, f"{head}{rows}\n]}}\n".encode())


def entries(profiler: Profiler, layers: LayerProfile | None = None) -> Iterator[Entry]:
    """Return the entries of the trace."""
    events = profiler.events
    begun_ns = min((event.stamps_ns[0] for event in events), default=0)
    yield from _names(layers)
    yield from _work(events, begun_ns)
    yield from _lives(events, begun_ns)
    yield from _lost(events, begun_ns)
    for waiting in profiler.waiting:
        depths = {_PLACES.get(name, name): depth for name, depth in waiting.depths.items()}
        yield _entry("C", "frames waiting", waiting.at_ns, begun_ns, args=depths)
    if layers is not None:
        yield from _layers(layers)


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
        name = f"one frame, layer by layer (medians of {layers.how})"
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
    """Return the layers of a typical frame, end to end."""
    at_us = 0.0
    for layer in profile.layers:
        length_us = 1e3 * layer.spread.median_ms
        yield {
            "ph": "X", "name": layer.name, "pid": _LAYERS, "tid": 1, "ts": at_us, "dur": length_us,
            "args": {
                "op": layer.op, "precision": layer.precision, "nodes": list(layer.nodes),
                "shape": list(layer.shape),
            },
        }  # fmt: skip
        at_us += length_us
