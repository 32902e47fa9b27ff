"""Names of a graph's inputs and outputs: bytes, and what a recurrent network carries."""

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # bundles come with numpy, and the command line asks for these names at once
    from .bundle import StateTensor

FRAME = "frame"
"""Input: bytes [1,H,W,3], BGR."""

RESTORED = "restored"
"""Output: bytes [1,4H,4W,3], BGR."""

STATE_IN, STATE_OUT = "state_in_", "state_out_"
"""Before the name of a recurrent tensor of the bundle; [1,C,H/divisor,W/divisor]."""


def state_shape(state: "StateTensor", width: int, height: int) -> tuple[int, int, int, int]:
    """Return [1,C,H/divisor,W/divisor] for frames of (width, height) px, padded before."""
    return 1, state.channels, height // state.divisor, width // state.divisor


def side_name(side: str, divisor: int) -> str:
    """Return how a graph of free size names a side of a state, that of the frame given.

    >>> side_name("height", 2), side_name("height", 1)
    ('height_div2', 'height')
    """
    return side if divisor == 1 else f"{side}_div{divisor}"


def free_side(name: str, sides: Mapping[str, int]) -> int | None:
    """Return the length of a free side by its name, None where the name tells nothing.

    `sides` are those of the frame in px, by their names in the graph.

    >>> free_side("height_div2", {"height": 180}), free_side("batch", {"height": 180})
    (90, None)
    """
    if name in sides:
        return sides[name]
    share = re.fullmatch(r"(.+)_div([1-9]\d*)", name)
    if share is None or share[1] not in sides:
        return None
    return sides[share[1]] // int(share[2])
