"""The inputs of a graph, and the shapes that a profile gives them.

Shape letters: H height, W width, C channels. Sizes are (width, height) in pixels.
"""

from collections.abc import Sequence
from typing import Any

from crispstream.core.bundle import StateTensor
from crispstream.core.errors import EngineError, UsageError
from crispstream.core.sizes import Size, SizeRange, size_text
from crispstream.core.tensors import FRAME, STATE_IN, state_shape

Shape = tuple[int, ...]
Shapes = dict[str, tuple[Shape, ...]]
"""Name of an input -> its shapes at the smallest, the best and the largest size."""


def input_shapes(sizes: SizeRange, states: Sequence[StateTensor]) -> Shapes:
    """Return the shapes of each input.

    The frame is [1,H,W,3], a state [1,C,H/divisor,W/divisor].

    >>> input_shapes(SizeRange.only((64, 48)), [StateTensor("seen", 8, 2)])["state_in_seen"][0]
    (1, 8, 24, 32)

    Raises:
        UsageError: if a size cannot be divided for a state.
    """
    shapes: Shapes = {FRAME: tuple((1, height, width, 3) for width, height in sizes)}
    for state in states:
        shapes[f"{STATE_IN}{state.name}"] = tuple(_state_shape(state, size) for size in sizes)
    return shapes


def check_inputs(inputs: Sequence[Any], shapes: Shapes) -> None:
    """Refuse a graph whose inputs (the library's tensors) are not those, or not free enough.

    Raises:
        EngineError: if it has other inputs than `frame` and the states.
        UsageError: if it is made for another size.
    """
    names = [tensor.name for tensor in inputs]
    if sorted(names) != sorted(shapes):
        only = " only" if len(shapes) == 1 else ""
        raise EngineError(
            f"the graph's inputs are {names}, expected {list(shapes)}{only}; "
            "export it with: crispstream export"
        )
    for tensor in inputs:
        takes = tuple(tensor.shape)
        for shape in shapes[tensor.name]:
            if not _fits(shape, takes):
                raise _no_fit(tensor.name, takes, shape, shapes[FRAME])


def _fits(shape: Shape, takes: Shape) -> bool:
    if len(takes) != len(shape):
        return False
    return all(free in (-1, side) for free, side in zip(takes, shape, strict=True))


def _state_shape(state: StateTensor, size: Size) -> Shape:
    width, height = size
    if width % state.divisor or height % state.divisor:
        raise UsageError(
            f"the state '{state.name}' has 1/{state.divisor} of the frame's sides, so no engine of "
            f"{size_text(size)} px can be built; give multiples of {state.divisor}"
        )
    return state_shape(state, width, height)


def _no_fit(name: str, takes: Shape, shape: Shape, frames: Sequence[Shape]) -> UsageError:
    sizes = ":".join(dict.fromkeys(f"{width}x{height}" for _, height, width, _ in frames))
    what = "frames" if name == FRAME else name
    return UsageError(
        f"the graph takes {what} of shape {list(takes)}, so no engine of {sizes} px "
        f"can be built; expected {list(shape)} (-1 is free)"
    )
