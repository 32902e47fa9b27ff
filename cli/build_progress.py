"""The bar of `crispstream build`: phases of the builder, the time, and what the last build took."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from .warn import say

if TYPE_CHECKING:
    from types import FrameType

_BAR_COLUMNS = 20  # so that phase, bar and time fit a line of 80

Step = Callable[[str, int, int], None]
"""Called with the name of a building phase, its steps done, and its steps in all."""


@contextmanager
def build_bar(
    *, shown: bool, expected_seconds: float | None = None, console: Console | None = None
) -> Iterator[Step]:
    """Show a build as a bar on standard error where that is a terminal; give what is to be called.

    `expected_seconds` is what building the same took the last time, None where that is not known.
    """
    console = console or Console(stderr=True)  # standard output is for the result
    bar = BarColumn(bar_width=_BAR_COLUMNS)
    columns = (TextColumn("{task.description}"), bar, TimeColumn(expected_seconds))
    disabled = not (shown and console.is_terminal)
    with Progress(*columns, console=console, transient=True, disable=disabled) as progress:
        yield _Bar(progress)


@contextmanager
def cancelled_by_signals() -> Iterator[None]:
    """Say so if what is done inside is cancelled: by Ctrl-C, SIGTERM or SIGHUP.

    The latter end it as an exception does, so that the bar gives the cursor back; the exit code is
    128 and the signal's number. What is ignored stays ignored, or nohup would not work.
    """
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # as on Windows
    numbers = [getattr(signal, name) for name in names]
    numbers = [each for each in numbers if signal.getsignal(each) == signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, _end)
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        say("cancelled; nothing was kept")
        raise
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _end(signal_number: int, _frame: "FrameType | None") -> None:
    raise SystemExit(128 + signal_number)


def time_text(elapsed_seconds: float, expected_seconds: float | None) -> str:
    """Return what is shown of the time.

    >>> time_text(12.3, None), time_text(12.3, 40), time_text(42, 40)
    ('12 s', '12 s, about 28 s left', '42 s (last time 40 s)')
    """
    text = f"{elapsed_seconds:.0f} s"
    if expected_seconds is None:
        return text
    left = expected_seconds - elapsed_seconds
    if left < 0:
        return f"{text} (last time {expected_seconds:.0f} s)"
    return f"{text}, about {left:.0f} s left"


class BuildWatch:
    """Follows a build that may turn out to be needed: a bar from its first step on.

    Once `stop` is set the build is cancelled, and KeyboardInterrupt comes out of it.
    """

    def __init__(self) -> None:
        """Show nothing yet."""
        self._opened = ExitStack()
        self._bar = False
        self._step: Step | None = None
        self._stop = threading.Event()

    @contextmanager
    def shown(self, *, bar: bool, stop: threading.Event) -> Iterator[None]:
        """Show the build as a bar, if there is one meanwhile and `bar` is set."""
        self._bar, self._stop = bar, stop
        with self._opened:
            yield

    def __call__(self, phase: str, done: int, steps: int) -> None:
        """Take a step of the build."""
        if self._stop.is_set():
            raise KeyboardInterrupt
        if self._step is None:
            self._step = self._opened.enter_context(build_bar(shown=self._bar))
        self._step(phase, done, steps)


class TimeColumn(ProgressColumn):
    """The time since the first step, and what is left if it takes as long as the last build."""

    def __init__(self, expected_seconds: float | None) -> None:
        """Measure against `expected_seconds`, None where nothing is known."""
        super().__init__()
        self._expected_seconds = expected_seconds

    def render(self, task: Task) -> Text:
        """Return the text of one moment."""
        if not task.started:
            return Text()
        return Text(time_text(task.elapsed or 0.0, self._expected_seconds))


class _Bar:
    """Shows the outermost phase as a bar, and the innermost by its name.

    Phases nest: the one that started first is the whole build. The clock starts with it: before, a
    build by another process may have to end.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._whole = ""
        self._task = progress.add_task(f"{'Getting ready':<32}", total=None, start=False)

    def __call__(self, phase: str, done: int, steps: int) -> None:
        if not self._whole and steps:  # without steps it only waits
            self._whole = phase
            self._progress.start_task(self._task)
        if phase == self._whole:
            self._progress.update(self._task, completed=done, total=steps)
        self._progress.update(self._task, description=f"{phase:<32.32}")
