"""A slot: the buffers of one frame in and one out, and the marks that time its stages."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from crispstream.core.pixels import SCALE
from crispstream.runtime.engine.device.driver import Driver, Event
from crispstream.runtime.engine.device.pinned import HostBuffer

from .context import Addresses
from .engine import INPUT, OUTPUT

STAGES = ("copy_in", "infer", "copy_out", "whole")
"""What the GPU's clock measures; `whole` is a CUDA graph, which has no stages."""


class _Closeable(Protocol):
    def close(self) -> None: ...


_T = TypeVar("_T", bound=_Closeable)


def owned(stack: ExitStack, thing: _T) -> _T:
    """Let a stack close the thing, and return it."""
    stack.callback(thing.close)
    return thing


class Span(NamedTuple):
    """One stage: a mark before it and one behind it."""

    stage: str
    begin: Event
    end: Event

    def duration_ns(self) -> int:
        """Return how long the GPU took; both marks must be reached."""
        return max(0, round(self.end.milliseconds_since(self.begin) * 1e6))


@dataclass(slots=True)
class Slot:
    """Buffers and marks of one frame."""

    index: int
    frame: HostBuffer
    """[H,W,3]"""
    restored: HostBuffer
    """[4H,4W,3]"""
    frame_pointer: int
    """Where the network reads, on the GPU."""
    restored_pointer: int
    """Where the network writes, on the GPU."""
    is_mapped: bool
    """Whether the GPU works in the host buffers themselves."""
    copy_in: Span
    infer: Span
    copy_out: Span
    whole: Span
    in_work: tuple[Span, ...] = ()
    """The stages of the frame that is in work; the last one ends it. () for none."""
    failure: Exception | None = None
    """Why the last frame could not be started."""

    @property
    def addresses(self) -> Addresses:
        """Where the network finds the frame and leaves the result."""
        return (INPUT, self.frame_pointer), (OUTPUT, self.restored_pointer)


def make_slot(
    stack: ExitStack, driver: Driver, index: int, width: int, height: int, *, mapped: bool
) -> Slot:
    """Make a slot for frames of one size in px; the stack closes what is in it.

    `mapped` asks for memory that the GPU uses in place; where it cannot be had, or is not asked
    for, there are buffers on the GPU besides.

    Raises:
        EngineError: if there is not so much memory.
    """
    shapes = (height, width, 3), (SCALE * height, SCALE * width, 3)
    frame, restored = (owned(stack, driver.host_buffer(shape, mapped=mapped)) for shape in shapes)
    is_mapped = frame.pointer is not None and restored.pointer is not None

    def on_gpu(host: HostBuffer) -> int:
        if is_mapped and host.pointer is not None:
            return host.pointer
        return owned(stack, driver.device_buffer(host.array.nbytes)).pointer

    def span(stage: str) -> Span:
        return Span(stage, owned(stack, driver.event()), owned(stack, driver.event()))

    return Slot(
        index,
        frame,
        restored,
        on_gpu(frame),
        on_gpu(restored),
        is_mapped,
        span("copy_in"),
        span("infer"),
        span("copy_out"),
        span("whole"),
    )
