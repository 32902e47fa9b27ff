"""Waits between tries."""

import random

from crispstream.runtime.stream.live.backoff import Backoff


def test_waits_double_up_to_two_seconds_and_are_shortened_by_half_at_most():
    backoff = Backoff(random.Random(1))
    for full in (0.25, 0.5, 1.0, 2.0, 2.0, 2.0):
        assert full / 2 <= backoff.next_seconds() <= full


def test_a_reset_begins_with_the_shortest_again():
    backoff = Backoff(random.Random(1))
    for _ in range(5):
        backoff.next_seconds()
    backoff.reset()
    assert backoff.next_seconds() <= 0.25


def test_two_readers_do_not_wait_alike():
    first, second = Backoff(), Backoff()
    assert [first.next_seconds() for _ in range(4)] != [second.next_seconds() for _ in range(4)]
