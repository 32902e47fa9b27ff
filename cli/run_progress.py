"""The line of `crispstream run` at a terminal: true at every moment, also while no frame comes."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn

if TYPE_CHECKING:
    from crispstream.runtime.frame import StreamInfo
    from crispstream.runtime.stream.ledger import Ledger, Snapshot


@contextmanager
def shown_progress(
    info: "StreamInfo", limit: int | None, ledger: "Ledger", *, shown: bool
) -> Iterator[None]:
    """Show frames, frames/s, latency and what is lost on standard error, if that is a terminal."""
    console = Console(stderr=True)  # standard output is for the result
    counts = [count for count in (info.frame_count, limit) if count is not None]
    with BooksProgress(
        ledger,
        min(counts, default=None),
        live=info.live,
        console=console,
        disable=not (shown and console.is_terminal),
    ):
        yield


class BooksProgress(Progress):
    """Reads the books of a stream whenever it is drawn, which does not wait for a frame."""

    def __init__(
        self, ledger: "Ledger", total: int | None, *, live: bool, console: Console, disable: bool
    ) -> None:
        """`total` is how many frames there will be, None where that is not known."""
        self._ledger = ledger  # before the rest: a bar is drawn while it is made
        self._live = live
        counted: tuple[ProgressColumn, ...] = (BarColumn(), MofNCompleteColumn())
        if total is None:  # a bar without an end says nothing, and the line gets too long
            counted = (TextColumn("{task.completed} frames"),)
        pace = TextColumn("{task.fields[pace]}", markup=False)
        super().__init__(*counted, pace, console=console, transient=True, disable=disable)
        self.add_task("frames", total=total, pace="")

    def get_renderables(self) -> Iterable[RenderableType]:
        """Give the line as of now."""
        books = self._ledger.snapshot()
        for task in self.task_ids:
            self.update(task, completed=books.restored, pace=_pace(books, live=self._live))
        yield from super().get_renderables()


def _pace(books: "Snapshot", *, live: bool) -> str:
    words = [f"{books.frames_per_second:.1f} frames/s", f"p95 {books.p95_ms:.0f} ms"]
    if live:
        words += [f"{sum(books.dropped.values())} dropped", books.state]
    if books.budget_ms is not None:
        words += [f"{books.late} late", books.rung]
    return ", ".join(words)
