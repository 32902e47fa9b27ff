"""The states of a source, and what is told of them."""

import logging

import pytest

from crispstream.core.clock import FakeClock
from crispstream.runtime.stream.health import Event, Health

NAME = "rtsp://***@10.0.0.7/stream"


def entered(*states):
    health = Health(NAME, FakeClock())
    for state in states:
        health.enter(state)
    return health


@pytest.mark.parametrize(
    ("states", "reconnects"),
    [
        (["live"], 0),
        (["lost", "connecting", "lost", "connecting", "live"], 0),
        (["live", "stalled", "live"], 0),
        (["live", "lost", "connecting", "live"], 1),
        (["live", "lost", "connecting", "stalled", "live", "lost", "connecting", "live"], 2),
        (["live", "lost", "connecting", "lost"], 0),
    ],
)
def test_a_reconnect_is_live_again_after_lost(states, reconnects):
    assert entered(*states).reconnects == reconnects


def test_events_tell_when_and_why():
    clock = FakeClock()
    health = Health(NAME, clock)
    clock.advance(1_500_000_000)
    health.enter("lost", "connection refused")
    assert health.events == (Event(1.5, "lost", "connection refused"),)


def test_trouble_and_its_end_are_logged_once(caplog):
    caplog.set_level(logging.INFO, "crispstream")
    entered("live", "live", "stalled", "stalled", "live", "lost", "connecting", "live", "ended")
    assert [(record.levelno, record.message) for record in caplog.records] == [
        (logging.WARNING, f"{NAME} is stalled"),
        (logging.INFO, f"{NAME} is live again"),
        (logging.WARNING, f"{NAME} is lost"),
        (logging.INFO, f"{NAME} is live again"),
    ]


def test_a_stream_that_begins_and_ends_as_it_should_is_no_news(caplog):
    caplog.set_level(logging.INFO, "crispstream")
    entered("connecting", "live", "ended")
    assert caplog.records == []


def test_a_note_is_kept_and_told_and_changes_no_state(caplog):
    health = entered("live")
    health.note("64x48 px now")
    assert health.state == "live"
    assert health.events[-1] == Event(0.0, "live", "64x48 px now")
    (record,) = caplog.records
    assert (record.levelno, record.message) == (logging.WARNING, f"{NAME}: 64x48 px now")


def test_events_are_kept_in_a_bounded_number():
    assert len(entered(*["live", "stalled"] * 1000).events) == 200


def test_another_word_is_refused():
    with pytest.raises(ValueError, match="no state"):
        entered("fine")
