"""The bar of `crispstream build`, drawn into a string as a terminal would get it."""

import io
import signal

import pytest
from rich.console import Console
from rich.progress import Progress

from crispstream.cli.build_progress import (
    TimeColumn,
    build_bar,
    cancelled_by_signals,
    time_text,
)


def test_the_time_left_comes_from_the_last_build() -> None:
    seconds = 10.0
    progress = Progress(TimeColumn(40), get_time=lambda: seconds)
    progress.add_task("building")
    (task,) = progress.tasks
    column = progress.columns[0]
    seconds = 22.4
    assert str(column(task)) == "12 s, about 28 s left"
    seconds = 70.0
    assert str(column(task)) == "60 s (last time 40 s)"


def test_without_an_earlier_build_only_the_time_is_shown() -> None:
    assert time_text(3.2, None) == "3 s"


def test_the_bar_follows_the_outermost_phase_and_names_the_innermost() -> None:
    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=True, width=100)
    with build_bar(shown=True, expected_seconds=30, console=console) as step:
        step("Building engine", 0, 6)
        step("Timing kernels", 0, 900)
        step("Timing kernels", 450, 900)
    assert "Timing kernels" in drawn.getvalue()
    assert "0 s, about 30 s left" in drawn.getvalue()


def test_nothing_is_drawn_where_nobody_looks() -> None:
    for shown, terminal in ((False, True), (True, False)):
        drawn = io.StringIO()
        console = Console(file=drawn, force_terminal=terminal)
        with build_bar(shown=shown, console=console) as step:
            step("Building engine", 1, 6)
        assert drawn.getvalue().strip() == ""


def test_the_clock_starts_with_the_build_and_not_with_the_wait_for_another() -> None:
    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=True, width=80)
    with build_bar(shown=True, expected_seconds=30, console=console) as step:
        assert "left" not in drawn.getvalue()
        step("Building engine", 0, 6)
    assert "Getting ready" in drawn.getvalue()
    assert "0 s, about 30 s left" in drawn.getvalue()


def test_a_line_of_80_columns_holds_the_longest_bar() -> None:
    drawn = io.StringIO()
    console = Console(file=drawn, force_terminal=True, width=80)
    with build_bar(shown=True, expected_seconds=-4000, console=console) as step:
        step("Some phase with a name that is much too long", 3, 6)
    lines = [line for line in drawn.getvalue().splitlines() if "last time" in line]
    assert lines
    assert all("(last time -4000 s)" in line for line in lines)


def test_a_cancelled_build_says_so_and_goes_on_to_cancel(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(KeyboardInterrupt), cancelled_by_signals():
        raise KeyboardInterrupt
    assert capsys.readouterr().err == "cancelled; nothing was kept\n"


def test_sigterm_ends_a_build_as_an_exception_does(capsys: pytest.CaptureFixture[str]) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit) as ended, cancelled_by_signals():
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.value.code == 128 + signal.SIGTERM
    assert capsys.readouterr().err == "cancelled; nothing was kept\n"
