"""The rules of the ladder, told one outcome at a time."""

from crispstream.runtime.stream.ladder.climb import (
    FIRST_WAIT_NS,
    MISSES,
    PATIENCE,
    Controller,
    Outcome,
)

MS = 1_000_000
FRAME_NS = 33 * MS


def calm(
    controller: Controller, service_ms: float, frames: int, begun_ns: int, waited_ms: float = 0
) -> int | None:
    """Restore frames in time; return after how many the rung changed, None if it did not."""
    for number in range(1, frames + 1):
        service_ns = round(service_ms * MS)
        age_ns = service_ns + round(waited_ms * MS)
        now_ns = begun_ns + number * FRAME_NS
        if controller.observe(Outcome(now_ns, age_ns, False, controller.rung, service_ns)):
            return number
    return None


def test_the_best_rung_that_fits_is_the_first() -> None:
    assert Controller([90 * MS, 20 * MS, 8 * MS], 33 * MS, 0).rung == 1
    assert Controller([90 * MS, 80 * MS], 33 * MS, 0).rung == 1
    assert Controller([20 * MS, 8 * MS], 33 * MS, 0, interval_ns=10 * MS).rung == 1


def test_what_waited_for_the_rung_before_does_not_count_against_the_next() -> None:
    controller = Controller([20 * MS, 8 * MS, 3 * MS], 33 * MS, 0)
    now_ns = 0
    for _ in range(MISSES):
        now_ns += 100 * MS
        controller.observe(Outcome(now_ns, 40 * MS, True, controller.rung, 24 * MS))
    assert controller.rung == 1
    for waited_ms in range(1, 9):  # captured before the change
        now_ns += 8 * MS
        age_ns = 8 * waited_ms * MS + MS
        controller.observe(Outcome(now_ns, age_ns, True, controller.rung, 8 * MS))
    assert controller.rung == 1


def test_skipped_frames_count_and_other_rungs_frames_do_not() -> None:
    controller = Controller([20 * MS, 8 * MS], 33 * MS, 0)
    for now_ms in range(100, 1_000, 100):
        assert not controller.observe(Outcome(now_ms * MS, 40 * MS, True, 1, 30 * MS))
        assert not controller.observe(Outcome(now_ms * MS, 40 * MS, True, None, 30 * MS))
    for now_ms in range(1_000, 1_000 + 100 * MISSES, 100):
        why = controller.observe(Outcome(now_ms * MS, 40 * MS, True, 0, None))
    assert (controller.rung, why) == (1, f"{MISSES} of the last {MISSES} frames missed")


def test_waiting_that_no_rung_can_help_keeps_it_from_climbing() -> None:
    costs_ms = [20, 8]
    controller = Controller([round(each * MS) for each in costs_ms], 33 * MS, 0)
    for number in range(3):
        controller.observe(Outcome((number + 1) * 100 * MS, 45 * MS, True, 0, 30 * MS))
    assert controller.rung == 1
    for number in range(3, 1_000):  # 20 ms of waiting and 8 of work: in time, with 5 to spare
        controller.observe(Outcome((number + 1) * 100 * MS, 28 * MS, False, 1, 8 * MS))
    assert controller.rung == 1


def test_a_miss_now_and_then_keeps_it_from_climbing() -> None:
    controller = Controller([20 * MS, 8 * MS], 33 * MS, 0)
    for number in range(1_000):
        missed = number < MISSES or number % 8 == 0
        age_ns = (40 if missed else 9) * MS
        now_ns = (number + 1) * FRAME_NS
        controller.observe(Outcome(now_ns, age_ns, missed, controller.rung, 8 * MS))
    assert controller.rung == 1


def test_a_load_is_remembered_through_a_rung_that_restored_nothing() -> None:
    controller = Controller([20 * MS, 10 * MS, 3 * MS], 33 * MS, 0)
    for number in range(1, 1 + MISSES):
        controller.observe(Outcome(number * FRAME_NS, 30 * MS, True, 0, 50 * MS))
    assert controller.rung == 1
    for number in range(5, 5 + MISSES):
        controller.observe(Outcome(number * FRAME_NS, 30 * MS, True, 1, None))
    assert controller.rung == 2
    # The better rung would take 25 ms, which is more than four fifths of what there is.
    after = calm(controller, 7.5, 300, 8 * FRAME_NS, waited_ms=3)
    assert after is not None
    assert after * FRAME_NS > PATIENCE * FIRST_WAIT_NS


def test_what_was_measured_under_a_load_is_put_right_by_the_first_frames() -> None:
    controller = Controller([40 * MS, 20 * MS], 33 * MS, 0)
    assert controller.rung == 1
    after = calm(controller, 10, 300, 0)
    assert after is not None
    assert after * FRAME_NS < 2 * FIRST_WAIT_NS
