"""Hand-over between threads: what waits, what is lost, what ends."""

import threading

import pytest

from crispstream.core.errors import UsageError
from crispstream.runtime.stream.slot import Slot


def test_all_delivers_everything_in_order_and_holds_the_producer_back() -> None:
    slot: Slot[int] = Slot("all", depth=3)
    producer = threading.Thread(target=lambda: ([slot.put(n) for n in range(50)], slot.end()))
    producer.start()
    taken = list(iter(slot.get, None))
    producer.join()
    assert taken == list(range(50))
    statistics = slot.statistics()
    assert (statistics.delivered, statistics.dropped) == (50, 0)
    assert 1 <= statistics.peak_depth <= 3


def test_latest_keeps_the_newest_and_counts_the_rest() -> None:
    slot: Slot[int] = Slot("latest")
    for n in range(5):
        assert slot.put(n)
    slot.end()
    assert slot.get() == 4
    assert slot.get() is None
    assert slot.statistics().dropped == 4
    assert slot.statistics().peak_depth == 1


def test_cancel_frees_a_waiting_producer() -> None:
    slot: Slot[int] = Slot("all", depth=1)
    slot.put(0)
    answers: list[bool] = []
    producer = threading.Thread(target=lambda: answers.append(slot.put(1)))
    producer.start()
    slot.cancel()
    producer.join(10)
    assert answers == [False]
    assert slot.get() is None


def test_cancel_frees_a_waiting_consumer() -> None:
    slot: Slot[int] = Slot()
    answers: list[int | None] = []
    consumer = threading.Thread(target=lambda: answers.append(slot.get()))
    consumer.start()
    slot.cancel()
    consumer.join(10)
    assert answers == [None]


@pytest.mark.parametrize(("policy", "depth"), [("newest", 1), ("all", 0)])
def test_nonsense_is_refused(policy: str, depth: int) -> None:
    with pytest.raises(UsageError):
        Slot(policy, depth)


def test_what_gives_way_is_told_and_may_change_what_takes_its_place() -> None:
    told: list[tuple[int, int]] = []

    def replaced(older: int, newer: int) -> int:
        told.append((older, newer))
        return newer + 100 if older == 1 else newer

    slot: Slot[int] = Slot("latest", on_replace=replaced)
    for n in range(4):
        slot.put(n)
    assert told == [(0, 1), (1, 2), (102, 3)]
    assert slot.get() == 3


def test_a_consumer_gives_up_when_it_is_told_to_and_nothing_waits() -> None:
    slot: Slot[int] = Slot("latest")
    slot.put(1)
    assert slot.get(lambda: True) == 1  # what waits is handed out first
    assert slot.get(lambda: True) is None
    slot.put(2)
    slot.put(3)
    slot.cancel()
    assert slot.statistics().discarded == 1
