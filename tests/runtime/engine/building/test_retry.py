"""Builds that run out of memory are tried again with less; others are not."""

from dataclasses import replace

import pytest

from crispstream.core.errors import EngineError
from crispstream.core.sizes import SizeRange
from crispstream.runtime.engine.building.options import BuildOptions
from crispstream.runtime.engine.building.retry import (
    OutOfMemoryError,
    build_with_less,
    speaks_of_memory,
)

STATIC = BuildOptions.static((320, 180))
RANGE = BuildOptions((SizeRange.parse("160x96:320x180:1280x720"), SizeRange.only((64, 48))))


class FakeBuilder:
    """Fails a number of times, then builds; keeps the orders."""

    def __init__(self, failures: int, error: BaseException | None = None) -> None:
        self.orders: list[BuildOptions] = []
        self._failures = failures
        self._error = error or OutOfMemoryError("tensorrt refused; it said: OutOfMemory", "native")

    def __call__(self, options: BuildOptions) -> str:
        self.orders.append(options)
        if len(self.orders) <= self._failures:
            raise self._error
        return "engine"


def test_a_build_that_works_is_not_touched() -> None:
    builder = FakeBuilder(0)
    assert build_with_less(builder, RANGE) == ("engine", RANGE, ())
    assert builder.orders == [RANGE]


def test_a_range_gives_up_its_largest_size_first() -> None:
    told: list[str] = []
    builder = FakeBuilder(1)
    engine, options, retries = build_with_less(builder, RANGE, told.append)
    lowered = (SizeRange.parse("160x96:320x180:320x180"), SizeRange.only((64, 48)))
    assert (engine, options) == ("engine", replace(RANGE, profiles=lowered))
    assert retries == (
        "out of memory: built for sizes up to the best only, 160x96:320x180:320x180, 64x48",
    )
    assert told == [
        "out of memory; trying again for sizes up to the best only, 160x96:320x180:320x180, 64x48"
    ]


def test_then_the_level_is_lowered_step_by_step() -> None:
    builder = FakeBuilder(3)
    _, options, retries = build_with_less(builder, RANGE)
    assert [order.optimisation_level for order in builder.orders] == [None, None, 2, 0]
    assert all(order.profiles == options.profiles for order in builder.orders[1:])
    assert [each.rpartition(" ")[2] for each in retries[1:]] == ["2", "0"]


def test_one_level_that_was_tried_in_vain_is_one_level() -> None:
    with pytest.raises(EngineError, match="it failed too at optimisation level 0; free"):
        build_with_less(FakeBuilder(9), replace(STATIC, optimisation_level=2))


def test_a_static_size_is_never_changed() -> None:
    builder = FakeBuilder(1)
    _, options, retries = build_with_less(builder, STATIC)
    assert options == replace(STATIC, optimisation_level=2)
    assert retries == ("out of memory: built at optimisation level 2",)


@pytest.mark.parametrize(
    ("asked", "tried"), [(None, [2, 0]), (5, [2, 0]), (3, [2, 0]), (2, [0]), (1, [0]), (0, [])]
)
def test_levels_only_go_down(asked: int | None, tried: list[int]) -> None:
    builder = FakeBuilder(9)
    with pytest.raises(OutOfMemoryError):
        build_with_less(builder, replace(STATIC, optimisation_level=asked))
    assert [order.optimisation_level for order in builder.orders] == [asked, *tried]


def test_in_the_end_the_first_error_is_raised_with_what_was_tried() -> None:
    with pytest.raises(EngineError, match=r"build for a smaller size$") as caught:
        build_with_less(FakeBuilder(9), RANGE)
    assert str(caught.value).startswith(
        "tensorrt refused; it said: OutOfMemory; it failed too for sizes up to the best only, "
    )
    assert ", 64x48, and at optimisation levels 2 and 0; free" in str(caught.value)
    assert caught.value.native_log == "native"


def test_python_running_out_of_memory_counts_too() -> None:
    assert build_with_less(FakeBuilder(1, MemoryError()), STATIC)[1].optimisation_level == 2
    nothing_left = replace(STATIC, optimisation_level=0)
    with pytest.raises(EngineError, match=r"^the computer ran out of memory .*; free memory"):
        build_with_less(FakeBuilder(9, MemoryError()), nothing_left)


@pytest.mark.parametrize("error", [EngineError("unsupported node"), KeyboardInterrupt()])
def test_any_other_failure_is_final(error: BaseException) -> None:
    builder = FakeBuilder(1, error)
    with pytest.raises(type(error)):
        build_with_less(builder, RANGE)
    assert len(builder.orders) == 1


@pytest.mark.parametrize(
    ("line", "is_memory"),
    [
        ("[virtualMemoryBuffer.cpp::resizePhysical::160] Error Code 2: OutOfMemory (no fur", True),
        ("[defaultAllocator.cpp::allocate::31] Error Code 1: Cuda Runtime (out of memory)", True),
        ("Requested amount of GPU memory (15485030400 bytes) could not be allocated. There", True),
        ("Skipping tactic 3 due to insufficient memory on requested size of 4294967296 det", True),
        ("autotuning: User allocator error allocating 15485030400-byte buffer", True),
        ("[myelin_graph.h:1295: attachExceptionMsg] Unexpected exception std::bad_alloc", True),
        ("Error Code 2: Internal Error (Assertion engine != nullptr failed. )", False),
        ("Error Code 10: Internal Error (Could not find any implementation for node x.)", False),
        ("IBuilder::buildSerializedNetwork: Error Code 9: BuildCanceled", False),
    ],
)
def test_what_libraries_say_when_memory_is_missing(line: str, is_memory: bool) -> None:
    assert speaks_of_memory(["something else", line]) is is_memory
