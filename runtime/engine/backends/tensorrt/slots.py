"""A slot: the buffers of one frame in and one out, and the marks that time its stages."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeVar

from crispstream.core.pixels import SCALE
from crispstream.core.tensors import FRAME, RESTORED
from crispstream.runtime.engine.device.driver import Driver, Event
from crispstream.runtime.engine.device.pinned import HostBuffer

from .context import Addresses

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
        return (FRAME, self.frame_pointer), (RESTORED, self.restored_pointer)


class _Hosts(NamedTuple):
    frame: HostBuffer
    restored: HostBuffer


class _OnGpu(NamedTuple):
    frame: int
    restored: int


def make_slots(
    stack: ExitStack, driver: Driver, count: int, width: int, height: int, *, share: bool
) -> tuple[Slot, ...]:
    """Make slots for frames of one size in px; the stack closes what is in them.

    On an integrated GPU they lie in memory that it uses in place. Where that cannot be had for all,
    and on others, there are buffers on the GPU besides: a pair for each slot, or one pair that all
    `share`, whose frames must not overlap.

    Raises:
        EngineError: if there is not so much memory.
    """
    shapes = (height, width, 3), (SCALE * height, SCALE * width, 3)

    def host(shape: tuple[int, ...]) -> HostBuffer:
        return owned(stack, driver.host_buffer(shape, mapped=driver.integrated))

    def on_gpu(pair: _Hosts) -> _OnGpu:
        sizes = (each.array.nbytes for each in pair)
        return _OnGpu(*(owned(stack, driver.device_buffer(size)).pointer for size in sizes))

    hosts = [_Hosts(*(host(shape) for shape in shapes)) for _ in range(count)]
    mapped = [pair for pair in map(_mapped, hosts) if pair is not None]
    is_mapped = len(mapped) == count
    if is_mapped:
        there = mapped
    elif share:
        there = [on_gpu(hosts[0])] * count
    else:
        there = [on_gpu(pair) for pair in hosts]

    pairs = zip(hosts, there, strict=True)
    return tuple(_slot(stack, driver, index, *pair, is_mapped) for index, pair in enumerate(pairs))


def _slot(
    stack: ExitStack, driver: Driver, index: int, hosts: _Hosts, on_gpu: _OnGpu, is_mapped: bool
) -> Slot:
    copy_in, infer, copy_out, whole = (
        Span(stage, owned(stack, driver.event()), owned(stack, driver.event())) for stage in STAGES
    )
    return Slot(index, *hosts, *on_gpu, is_mapped, copy_in, infer, copy_out, whole)


def _mapped(pair: _Hosts) -> _OnGpu | None:
    """Return where the GPU sees a pair, None if it does not."""
    if pair.frame.pointer is None or pair.restored.pointer is None:
        return None
    return _OnGpu(pair.frame.pointer, pair.restored.pointer)
