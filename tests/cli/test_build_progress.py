"""The bar of `crispstream build`, drawn into a string as a terminal would get it."""

import io

from rich.console import Console
from rich.progress import Progress

from crispstream.cli.build_progress import TimeColumn, build_bar, time_text


def test_the_time_left_comes_from_the_last_build() -> None:
    seconds = 10.0
    progress = Progress(TimeColumn(40), get_time=lambda: seconds)
    progress.add_task("building")
    (task,) = progress.tasks
    column = progress.columns[0]
    seconds = 22.4
    assert str(column(task)) == "12 s, about 28 s left"
    seconds = 70.0
    assert str(column(task)) == "60 s, longer than the last time (40 s)"


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
