import json
from pathlib import Path
from typing import Any

from crispstream.runtime.measure.profiling.trace import entries, write_trace
from crispstream.runtime.measure.profiling.watching import Event, Profiler

MS = 1_000_000


def _event(stage: str, begin_ms: float, end_ms: float, serial: int = -1) -> Event:
    return Event(stage, (round(begin_ms * MS), round(end_ms * MS)), serial)


def _frame(serial: int, at_ms: float) -> list[Event]:
    return [
        _event("decode", at_ms, at_ms + 1, serial),
        _event("wait", at_ms + 1, at_ms + 2, serial),
        _event("copy_in", at_ms + 2, at_ms + 3, serial),
        Event("infer", tuple(round(ms * MS) for ms in (at_ms + 3, at_ms + 4, at_ms + 5, at_ms + 8)),
              serial),
        _event("copy_out", at_ms + 8, at_ms + 9, serial),
        _event("write_wait", at_ms + 9, at_ms + 10, serial),
        _event("write", at_ms + 10, at_ms + 12, serial),
        _event("total", at_ms + 1, at_ms + 12, serial),
    ]  # fmt: skip


def _profiler(events: list[Event]) -> Profiler:
    profiler = Profiler(keeps_trace=True)
    profiler._events.extend(events)
    profiler.seen = len(events)
    return profiler


def _entries(events: list[Event]) -> list[dict[str, Any]]:
    return list(entries(_profiler(events)))


def test_the_network_is_two_bars_where_the_loop_started_it_and_waited() -> None:
    bars = {e["name"]: e for e in _entries(_frame(0, 0)) if e["ph"] == "X"}

    assert (bars["start the network"]["ts"], bars["start the network"]["dur"]) == (3000, 1000)
    assert (bars["wait for the network"]["ts"], bars["wait for the network"]["dur"]) == (5000, 3000)


def test_times_begin_with_the_first_event() -> None:
    bars = [e for e in _entries(_frame(0, 500)) if e["ph"] == "X"]

    assert min(bar["ts"] for bar in bars) == 0


def test_a_life_is_nested_and_every_begin_has_its_end() -> None:
    lives = [e for e in _entries([*_frame(0, 0), *_frame(1, 5)]) if e["ph"] in "be"]

    for serial in (0, 1):
        begins = sorted(e["name"] for e in lives if e["ph"] == "b" and e["id"] == serial)
        assert begins == sorted(e["name"] for e in lives if e["ph"] == "e" and e["id"] == serial)
        assert f"frame {serial}" in begins
        assert "network" in begins


def test_a_dropped_frame_is_marked_with_its_cause() -> None:
    events = [
        *_frame(0, 0),
        _event("decode", 12, 13, 1),  # gave way in the slot
        _event("decode", 14, 15, 2),
        _event("wait", 15, 16, 2),  # taken, and skipped for the deadline
        *_frame(3, 20),
    ]

    marks = [(e["name"], e["args"]["frame"]) for e in _entries(events) if e["ph"] == "i"]

    assert marks == [("dropped: slot", 1), ("dropped: deadline", 2)]


def test_what_waited_at_the_end_is_no_drop() -> None:
    events = [*_frame(0, 0), _event("decode", 30, 31, 1)]

    assert not [e for e in _entries(events) if e["ph"] == "i"]


def test_the_file_is_json_and_tells_what_was_left_out(tmp_path: Path) -> None:
    profiler = _profiler(_frame(0, 0))
    profiler.seen += 12

    write_trace(profiler, tmp_path / "t.json")

    content = json.loads((tmp_path / "t.json").read_text())
    assert content["otherData"]["events left out"] == 12
    assert {"ph", "name", "pid"} <= set.intersection(*(set(e) for e in content["traceEvents"]))
