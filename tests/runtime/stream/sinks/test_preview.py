"""The preview's server: what it sends and when, and that no viewer holds it up."""

import json
import threading
import time

import cv2
import numpy as np
import pytest

from crispstream.core.clock import FakeClock
from crispstream.runtime.stream.health import Health
from crispstream.runtime.stream.ledger import Ledger
from crispstream.runtime.stream.sinks.preview import server
from crispstream.runtime.stream.sinks.preview.preview import PreviewSink
from tests.helpers.viewing import (
    ANYWHERE,
    HANG_SECONDS,
    FakeViewer,
    frame,
    get,
    looking,
    wait_until,
    write,
)

SECOND = 10**9


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def sink(clock):
    preview = PreviewSink(ANYWHERE, Ledger(Health("synth://")), clock)
    yield preview
    preview.close()


def decoded(data: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


def test_before_and_after_of_one_frame_come_with_the_books(sink) -> None:
    ledger = sink._ledger
    ledger.capture()
    ledger.restore(7_000_000, "edge-n int8-cpu")
    viewer = FakeViewer(sink)
    looking(sink)
    write(sink, 41)
    facts, before, after = viewer.picture()
    viewer.close()
    assert (facts["serial"], facts["input"], facts["output"]) == (41, [32, 18], [128, 72])
    assert (facts["latency_ms"], facts["rung"]) == (7.0, "edge-n int8-cpu")
    assert set(facts["dropped"]) == {"source", "slot", "deadline", "stop", "sink"}
    assert decoded(before).shape == (18, 32, 3)
    assert abs(int(decoded(after).mean()) - 200) <= 1


def test_nothing_is_encoded_while_nobody_looks(sink, clock) -> None:
    for serial in range(5):
        clock.advance(SECOND)
        write(sink, serial)
    assert sink.figures() == {"shown_frames": 0.0}
    viewer = FakeViewer(sink)
    looking(sink)
    write(sink, 5)
    assert viewer.picture()[0]["serial"] == 5  # and nothing that was before it came
    viewer.close()
    assert sink.figures() == {"shown_frames": 1.0}


def test_at_most_30_frames_a_second_are_encoded_and_every_one_at_30(sink, clock) -> None:
    viewer = FakeViewer(sink)
    looking(sink)
    for serial in range(120):
        clock.advance(SECOND // 120)
        write(sink, serial)
    assert 29 <= sink.figures()["shown_frames"] <= 32
    before = sink.figures()["shown_frames"]
    for serial in range(30):
        clock.advance(SECOND // 30 + (2_000_000 if serial % 2 else -2_000_000))  # jitter
        write(sink, serial)
    assert sink.figures()["shown_frames"] - before == 30
    viewer.close()


def test_a_viewer_who_does_not_read_holds_up_nobody(sink, clock) -> None:
    stuck, viewer = FakeViewer(sink), FakeViewer(sink)
    looking(sink, 2)
    noise_hwc = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    for serial in range(12):  # about 1 MB each: far more than the sockets hold
        clock.advance(SECOND)
        sink.write(frame(serial), noise_hwc)
    assert viewer.picture()[0]["serial"] <= 11
    while viewer.picture()[0]["serial"] < 11:
        pass
    begun = time.monotonic()
    sink.close()
    assert time.monotonic() - begun < HANG_SECONDS
    stuck.close()
    viewer.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "preview"]


def test_the_facts_come_without_frames_too(sink, monkeypatch) -> None:
    monkeypatch.setattr(server, "_BEAT_SECONDS", 0.02)
    viewer = FakeViewer(sink)
    assert viewer.message()[0]["state"] == "connecting"
    sink._ledger.health.enter("stalled", "no new picture")
    seen = [viewer.message() for _ in range(4)]
    viewer.close()
    assert seen[-1][0]["state"] == "stalled"
    assert all((before, after) == (b"", b"") for _, before, after in seen)


def test_the_end_of_the_stream_is_told(sink) -> None:
    viewer = FakeViewer(sink)
    looking(sink)
    threading.Thread(target=sink.close).start()
    last, message = None, viewer.message()
    while message is not None:
        last, message = message, viewer.message()
    viewer.close()
    assert last is not None
    assert last[0]["ended"] is True


def test_snapshot_and_frame_for_scripts(sink, clock) -> None:
    status, headers, body = get(sink, "/snapshot.json")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert json.loads(body)["state"] == "connecting"
    answers = []
    asking = threading.Thread(target=lambda: answers.append(get(sink, "/frame.jpg")))
    asking.start()
    looking(sink)
    write(sink, 0)
    asking.join(HANG_SECONDS)
    assert answers[0][1]["Content-Type"] == "image/jpeg"
    assert decoded(answers[0][2]).shape == (72, 128, 3)


def test_a_very_large_frame_is_shown_smaller(sink) -> None:
    viewer = FakeViewer(sink)
    looking(sink)
    write(sink, 0, (2560, 720))
    facts, _, after = viewer.picture()
    viewer.close()
    assert facts["output"] == [2560, 720]
    assert decoded(after).shape == (540, 1920, 3)


def test_the_time_in_a_state_counts_from_its_beginning(sink, clock) -> None:
    health = sink._ledger.health
    clock.advance(7 * SECOND)
    assert json.loads(get(sink, "/snapshot.json")[2])["state_seconds"] == 7
    health.enter("live")
    wait_until(lambda: sink._state == "live")  # seen although nobody asks
    clock.advance(2 * SECOND)
    assert json.loads(get(sink, "/snapshot.json")[2])["state_seconds"] == 2
