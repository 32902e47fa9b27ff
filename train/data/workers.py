"""Work in processes of their own that ends in order, however often Ctrl-C is pressed."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from crispstream.core.errors import TrainError

J = TypeVar("J")
R = TypeVar("R")


def in_processes(
    work: Callable[[J], R],
    jobs: Sequence[J],
    workers: int,
    tell: Callable[[str], None],
    *,
    in_order: bool = False,
) -> Generator[R, None, None]:
    """Yield `work` of each job as it is done, or in the order of the jobs.

    The processes are spawned, for a fork of threaded libraries can hang. Fewer than two workers
    work here. Close the generator to stop early: what was begun is finished first, and `tell`
    hears of it.

    Raises:
        TrainError: if a process was ended; otherwise what `work` raises.
    """
    if workers < 2:
        yield from map(work, jobs)
        return
    executor = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), initializer=_serve
    )
    futures = []
    try:
        with _undisturbed():  # the processes start here, and would die of Ctrl-C before `_serve`
            futures = [executor.submit(work, job) for job in jobs]
        for future in futures if in_order else as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise TrainError(
            "a process that made the data was ended, perhaps for want of memory; run the "
            "same command again with fewer --workers"
        ) from error
    finally:
        with _undisturbed():  # a second Ctrl-C would leave processes behind that wait for ever
            begun = sum(future.running() for future in futures)
            if begun:
                tell(f"stopping: finishing {begun} items")
            executor.shutdown(cancel_futures=True)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ignore Ctrl-C for a while; only the main thread may say so, and only it is hit by it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)


def _serve() -> None:
    """Leave Ctrl-C to the parent, which lets a worker finish its item; end with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Without this, workers of a parent that was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
