"""Names of a graph's inputs and outputs: bytes, and what a recurrent network carries."""

FRAME = "frame"
"""Input: bytes [1,H,W,3], BGR."""

RESTORED = "restored"
"""Output: bytes [1,4H,4W,3], BGR."""

STATE_IN, STATE_OUT = "state_in_", "state_out_"
"""Before the name of a recurrent tensor of the bundle; [1,C,H/divisor,W/divisor]."""
