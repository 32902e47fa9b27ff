"""Names of a graph's inputs and outputs: bytes, and what a recurrent network carries."""

from .bundle import StateTensor

FRAME = "frame"
"""Input: bytes [1,H,W,3], BGR."""

RESTORED = "restored"
"""Output: bytes [1,4H,4W,3], BGR."""

STATE_IN, STATE_OUT = "state_in_", "state_out_"
"""Before the name of a recurrent tensor of the bundle; [1,C,H/divisor,W/divisor]."""


def state_shape(state: StateTensor, width: int, height: int) -> tuple[int, int, int, int]:
    """Return [1,C,H/divisor,W/divisor] for frames of (width, height) px, padded before."""
    return 1, state.channels, height // state.divisor, width // state.divisor
