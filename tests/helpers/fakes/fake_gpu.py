"""A GPU that is none: memory, and streams whose work runs only when somebody waits.

What is put into streams is kept, and run when something synchronises, in a random order that the
streams and the events between them allow. So a wait that is missing shows as wrong bytes, for some
seed. Memory that is used after it was freed, or freed while work is queued that needs it, is a
fault; `check_clean` fails for faults and for whatever was not given back.
"""

import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from crispstream.core.pixels import Bytes

_FIRST_ADDRESS = 0x7000_0000_0000
_PAGE = 4096


class FakeCudaError(Exception):
    """What the fake driver refuses; the fake of pycuda raises its subclasses."""


class FakeMemoryError(FakeCudaError):
    """No memory left."""


@dataclass(eq=False)
class Memory:
    """A piece of memory that the GPU sees."""

    address: int
    content: Bytes
    kind: str
    """"device" or "host"."""
    freed: bool = False


@dataclass(eq=False)
class Event:
    """A mark: how often it was put into a stream, how often it was reached, and when."""

    recorded: int = 0
    reached: int = 0
    time_ms: float = 0.0
    destroyed: bool = False


@dataclass(eq=False)
class Operation:
    """Something in a stream."""

    kind: str
    """htod, dtoh, memset, network, record or wait."""
    run: Callable[[], None]
    ms: float = 0.0
    memories: tuple[Memory, ...] = ()
    event: Event | None = None
    ticket: int = 0
    context: Any = None
    """The execution context whose network this is."""


@dataclass(eq=False)
class Stream:
    """Work in order."""

    handle: int
    non_blocking: bool
    queue: deque[Operation] = field(default_factory=deque)
    captured: list[Operation] | None = None
    """What a capture has collected; None while there is none."""
    broken: bool = False
    """Whether the capture was broken."""
    destroyed: bool = False


class FakeGpu:
    """One GPU, its driver, and what goes wrong with it.

    Attributes:
        faults: what the code under test did that it must not do.
        created: how many of each kind of thing were ever made.
        live: how many are there now.
        ran: how many operations of each kind ran.
        fail_creation: the number, from 1, of the thing whose making fails; None for none.
        break_at_network: the number, from 1, of the network's run that breaks the context.
        skip: called with the number of a graph's start, from 0; returns the kinds of operations
              that it then leaves out, "" for none: "network", or "htod network dtoh".
        graph_strategies: of TensorRT-RTX, by execution context; "" for none.
        own_captures: how many graphs TensorRT-RTX has captured by itself.
        executables: the graphs of ours that can be started.
        engine_faults: bits of what TensorRT-RTX says of every engine.
        pin_refused: the code with which the driver refuses to pin memory, 0 if it does not.
        unpinned: what it has refused to pin by `fail_creation`.
        fail_capture: what of a capture fails: "begin", "work", "end" or "instantiate"; or
            "launch", the start of the graph, or "lose", a start that breaks the context.
        good_captures: how many captures work before one fails.
    """

    def __init__(self, seed: int = 0, *, integrated: bool = False, pin_refused: int = 0) -> None:
        self.integrated = integrated
        self.pin_refused = pin_refused
        self.device_count = 1
        self.faults: list[str] = []
        self.created: Counter[str] = Counter()
        self.live: Counter[str] = Counter()
        self.ran: Counter[str] = Counter()
        self.fail_creation: int | None = None
        self.break_at_network: int | None = None
        self.networks_run = 0
        self.skip: Callable[[int], str] = lambda _: ""
        self.graph_starts = 0
        self.graph_strategies: list[str] = []
        self.own_captures = 0
        self.engine_faults = 0
        self.unpinned: list[Bytes] = []
        self.executables: list[Any] = []
        self.fail_capture = ""
        self.good_captures = 0
        self.sticky = ""
        self.time_ms = 0.0
        self.lock = threading.RLock()
        self.memories: list[Memory] = []
        self.streams: dict[int, Stream] = {}
        self.stacks: dict[int, list[Any]] = {}
        self._random = random.Random(seed)
        self._next_address = _FIRST_ADDRESS
        self._next_handle = 0x1000

    # Contexts

    def stack(self) -> list[Any]:
        """Return the contexts of this thread, the current one last."""
        return self.stacks.setdefault(threading.get_ident(), [])

    @contextmanager
    def entered(self, what: str) -> Iterator[None]:
        """Hold the lock; refuse a call without a context, or after the context was broken."""
        with self.lock:
            if not self.stack():
                self.faults.append(f"{what} without a context in this thread")
                raise FakeCudaError(f"{what} failed: invalid device context")
            self.check_sticky(what)
            yield

    def check_sticky(self, what: str) -> None:
        if self.sticky:
            raise FakeCudaError(f"{what} failed: {self.sticky}")

    # Things that are made and given back

    def made(self, kind: str) -> None:
        """Count a thing.

        Raises:
            FakeMemoryError: if this is the one that is to fail.
        """
        number = sum(self.created.values()) + 1
        self.created[kind] += 1
        if number == self.fail_creation:
            raise FakeMemoryError(f"{kind} failed: out of memory")
        self.live[kind] += 1

    def gone(self, kind: str) -> None:
        self.live[kind] -= 1

    def fault(self, what: str) -> None:
        self.faults.append(what)

    def allocate(self, size: int) -> Memory:
        self.made("mem_alloc")
        self.break_captures_of_this_thread("mem_alloc")
        content = np.frombuffer(self._random.randbytes(size), np.uint8).copy()  # as found
        return self.add_memory("device", content)

    def add_memory(self, kind: str, content: Bytes) -> Memory:
        memory = Memory(self._next_address, content, kind)
        self._next_address += (content.nbytes // _PAGE + 2) * _PAGE
        self.memories.append(memory)
        return memory

    def release(self, memory: Memory) -> None:
        if memory.freed:
            self.fault(f"{memory.kind} memory freed twice")
            return
        if any(memory in operation.memories for operation in self.queued()):
            self.fault(f"{memory.kind} memory freed while queued work needs it")
        memory.freed = True

    def queued(self) -> Iterator[Operation]:
        for stream in self.streams.values():
            yield from stream.queue

    def memory_at(self, address: int, size: int) -> Memory:
        """Return the memory that holds these addresses, which is an error if there is none."""
        for memory in self.memories:
            if 0 <= address - memory.address <= memory.content.nbytes - size:
                if memory.freed:
                    self.fault(f"use of freed {memory.kind} memory")
                    raise FakeCudaError("failed: an illegal memory access was encountered")
                return memory
        self.fault(f"use of {size} bytes at 0x{address:x}, where there are not so many")
        raise FakeCudaError("failed: invalid argument")

    def bytes_at(self, address: int, size: int) -> Bytes:
        memory = self.memory_at(address, size)
        start = address - memory.address
        return memory.content[start : start + size]

    def new_stream(self, *, non_blocking: bool) -> Stream:
        self.made("Stream")
        self._next_handle += 0x10
        stream = Stream(self._next_handle, non_blocking)
        self.streams[stream.handle] = stream
        return stream

    # Work

    def put(self, stream: Stream | None, operation: Operation) -> None:
        """Put work into a stream, or into the graph that is captured from it."""
        if stream is None:
            self.fault(f"{operation.kind} on the default stream")
            for other in self.streams.values():
                other.broken |= other.captured is not None and not other.non_blocking
            return
        if stream.destroyed:
            self.fault(f"{operation.kind} on a stream that is gone")
            return
        if stream.captured is not None:
            stream.captured.append(operation)
        else:
            stream.queue.append(operation)

    def break_captures_of_this_thread(self, what: str) -> None:
        for stream in self.streams.values():
            if stream.captured is not None and not stream.broken:
                stream.broken = True
                self.fault(f"{what} while a graph is captured")

    def run_until(self, done: Callable[[], bool]) -> None:
        """Run queued work until `done`, and some more or none, as chance has it."""
        while not done():
            if not self._run_one():
                self.fault("a wait that never ends")
                raise FakeCudaError("failed: the launch timed out and was terminated")
        for _ in range(self._random.randrange(4)):
            self._run_one()
        self.check_sticky("synchronize")

    def _run_one(self) -> bool:
        ready = [s for s in self.streams.values() if s.queue and _may_run(s.queue[0])]
        if self.sticky or not ready:
            return bool(self.sticky)
        operation = self._random.choice(ready).queue.popleft()
        for memory in operation.memories:
            if memory.freed:
                self.fault(f"{operation.kind} on freed {memory.kind} memory")
        self.ran[operation.kind] += 1
        self.time_ms += operation.ms
        operation.run()
        return True

    def network_ran(self) -> None:
        """Count a run of a network; break the context if this is the one."""
        self.networks_run += 1
        if self.networks_run == self.break_at_network:
            self.sticky = "an illegal memory access was encountered"
            for stream in self.streams.values():
                stream.queue.clear()

    def drained(self, stream: Stream) -> Callable[[], bool]:
        return lambda: bool(self.sticky) or not stream.queue

    def reached(self, event: Event) -> Callable[[], bool]:
        ticket = event.recorded
        return lambda: bool(self.sticky) or event.reached >= ticket

    # The end

    def check_clean(self, *, lost: bool = False) -> None:
        """Fail for faults and for what was not given back; a lost context takes its own along."""
        assert not self.faults, self.faults
        stacks = {thread: stack for thread, stack in self.stacks.items() if stack}
        assert not stacks, f"threads with a context: {stacks}"
        kinds = ["context"] if lost else list(self.live)
        left = {kind: self.live[kind] for kind in kinds if self.live[kind]}
        assert not left, f"not given back: {left}"


def _may_run(operation: Operation) -> bool:
    waits_for = operation.event if operation.kind == "wait" else None
    return waits_for is None or waits_for.reached >= operation.ticket
