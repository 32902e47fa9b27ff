"""The one thread that uses the GPU: it owns the context, others send it work.

CUDA keeps the current context per thread, and pycuda frees things only in the thread that made
them. So whoever needs the GPU hands a function to this thread, and waits for it or not.
"""

import threading
import traceback
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from crispstream.core.errors import EngineError

from .driver import Driver

T = TypeVar("T")
_Work = Callable[[], Any]
_MOST_WAITING = 64
"""Functions that may wait for the thread before `post` waits too."""


class GpuWorker:
    """A thread with a GPU's context. Errors that leave the context useless end its work for good.

    Attributes:
        driver: for use in the functions only, as they run in the thread.
    """

    driver: Driver

    def __init__(self, open_driver: Callable[[], Driver]) -> None:
        """Start the thread, which opens the driver.

        Raises:
            EngineError, MissingExtraError: what opening the driver raised.
        """
        self._requests: SimpleQueue[tuple[int, _Work | None]] = SimpleQueue()
        self._replies: SimpleQueue[tuple[int, Any, BaseException | None]] = SimpleQueue()
        self._calling = threading.Lock()
        self._serial = 0
        self._failed: BaseException | None = None
        self._lost = ""
        self._closed = False
        # A daemon: a program that forgets to close must be able to end.
        self._thread = threading.Thread(
            target=self._serve, args=(open_driver,), name="crispstream-gpu", daemon=True
        )
        self._thread.start()
        _, _, error = self._replies.get()
        if error is not None:
            self._closed = True
            self._thread.join()
            raise error

    def post(self, work: _Work) -> None:
        """Let the thread run a function some time; what it raises is raised by the next `call`.

        Raises:
            EngineError: if the worker is closed or the context lost.
        """
        self._refuse_if_over()
        if self._requests.qsize() >= _MOST_WAITING:
            self.call(_nothing)
        self._requests.put((0, work))

    def call(self, work: Callable[[], T]) -> T:
        """Let the thread run a function after all that was sent before, and return its result.

        Raises:
            EngineError: if the worker is closed or the context lost; for errors of the driver.
            Exception: whatever else the function raises.
        """
        with self._calling:
            self._refuse_if_over()
            self._serial += 1
            self._requests.put((self._serial, work))
            serial, value, error = self._replies.get()
            while serial != self._serial:  # the answer to a call that Ctrl-C interrupted
                serial, value, error = self._replies.get()
            if error is None:
                error, self._failed = self._failed, None
        if error is None:
            result: T = value
            return result
        try:
            raise error
        finally:
            del error  # or this frame and its own traceback would keep each other alive

    def close(self) -> None:
        """Let the thread finish what it was sent, let its context go, and join it."""
        if not self._closed:
            self._closed = True
            self._requests.put((0, None))
            self._thread.join()

    def _refuse_if_over(self) -> None:
        if self._lost:
            raise EngineError(self._lost)
        if self._closed:
            raise EngineError("the GPU's worker is closed; open the model again")

    def _serve(self, open_driver: Callable[[], Driver]) -> None:
        try:
            self.driver = open_driver()
        except BaseException as error:  # noqa: BLE001 (raised again by who started the thread)
            self._replies.put((0, None, error))
            return
        self._replies.put((0, None, None))
        try:
            more = True
            while more and not self._lost:
                more = self._answer(*self._requests.get())
        finally:
            self.driver.close()
        while more:  # calls that were on their way when the context was lost
            serial, work = self._requests.get()
            more = work is not None
            if serial:
                self._replies.put((serial, None, EngineError(self._lost)))

    def _answer(self, serial: int, work: _Work | None) -> bool:
        """Run a function; return whether there may be more."""
        if work is None:
            return False
        value, error = None, None
        try:
            value = work()
        except BaseException as raised:  # noqa: BLE001 (raised again by who waits for it)
            error = self._judged(raised)
            _let_go(error)
        if serial:
            self._replies.put((serial, value, error))
        elif self._failed is None:
            self._failed = error
        return True

    def _judged(self, error: BaseException) -> BaseException:
        if not self.driver.loses(error):
            return self.driver.explained(error)
        said = getattr(error, "native_log", "") or error
        self._lost = (
            f"the GPU's context is lost ({said}); restart the process. Should it happen again, the "
            "kernel's log tells more: dmesg | grep -i -e nvrm -e xid"
        )
        return EngineError(self._lost, str(error))


def _let_go(error: BaseException | None) -> None:
    """Empty the frames that an error holds, so that what is of the GPU dies in this thread."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__


def _nothing() -> None:
    """Do nothing: the answer means that all before is done."""
