"""Ctrl-C is held back while a library works, is seen on every thread, and comes out afterwards."""

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from crispstream.runtime.engine.building.interrupts import held_interrupt


@pytest.fixture(autouse=True)
def _default_handler() -> Iterator[None]:
    """Shells start background jobs with SIGINT ignored, and tests inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


Interrupted = Callable[[], bool]


def interrupt_in(work: Callable[[Interrupted], object]) -> None:
    """Do `work` with the interrupt held; it must come out at the end."""

    def held() -> None:
        with held_interrupt() as interrupted:
            work(interrupted)

    with pytest.raises(KeyboardInterrupt):
        held()


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_it_is_only_marked_inside_and_raised_at_the_end() -> None:
    seen: list[bool] = []

    def work(interrupted: Interrupted) -> None:
        seen.append(interrupted())
        signal.raise_signal(signal.SIGINT)
        seen.extend([interrupted(), interrupted()])

    interrupt_in(work)
    assert seen == [False, True, True]


def test_without_it_everything_is_as_it_was() -> None:
    files, handler = open_files(), signal.getsignal(signal.SIGINT)
    with held_interrupt() as interrupted:
        assert signal.getsignal(signal.SIGINT) is not handler
        assert not interrupted()
    assert signal.getsignal(signal.SIGINT) is handler
    assert signal.set_wakeup_fd(-1) == -1
    assert open_files() == files


def test_another_thread_sees_it_while_the_main_one_waits_for_it() -> None:
    seen: list[bool] = []

    def work(interrupted: Interrupted) -> None:
        def watch() -> None:
            signal.raise_signal(signal.SIGINT)
            seen.append(interrupted())

        watcher = threading.Thread(target=watch)
        watcher.start()
        watcher.join()

    interrupt_in(work)
    assert seen == [True]


def test_the_handler_that_was_there_is_called_afterwards() -> None:
    called: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: called.append(number))

    def work(interrupted: Interrupted) -> None:
        signal.raise_signal(signal.SIGINT)
        assert called == []

    interrupt_in(work)
    assert called == [signal.SIGINT]


def test_an_ignored_signal_stays_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with held_interrupt() as interrupted:
        signal.raise_signal(signal.SIGINT)
        assert not interrupted()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_signals_are_not_mistaken_for_it() -> None:
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with held_interrupt() as interrupted:
            signal.raise_signal(signal.SIGUSR1)
            assert not interrupted()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_thread_that_gets_no_signals_is_left_alone() -> None:
    seen: list[object] = []

    def build() -> None:
        handler = signal.getsignal(signal.SIGINT)
        with held_interrupt() as interrupted:
            seen.extend([interrupted(), signal.getsignal(signal.SIGINT) is handler])

    builder = threading.Thread(target=build)
    builder.start()
    builder.join()
    assert seen == [False, True]


def test_a_failure_inside_comes_out_unless_it_was_pressed() -> None:
    with pytest.raises(ValueError, match="inside"), held_interrupt():
        raise ValueError("inside")

    def work(interrupted: Interrupted) -> None:
        signal.raise_signal(signal.SIGINT)
        raise ValueError("inside")

    interrupt_in(work)


class EndedError(Exception):
    """Raised by a handler."""


def test_sigterm_is_held_too_where_it_has_a_handler() -> None:
    def end(number: int, _: object) -> None:
        raise EndedError(number)

    def held() -> None:
        with held_interrupt() as interrupted:
            signal.raise_signal(signal.SIGTERM)
            assert interrupted()

    before = signal.signal(signal.SIGTERM, end)
    try:
        with pytest.raises(EndedError, match=str(int(signal.SIGTERM))):
            held()
        assert signal.getsignal(signal.SIGTERM) is end
    finally:
        signal.signal(signal.SIGTERM, before)
