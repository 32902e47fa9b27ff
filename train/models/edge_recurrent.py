"""Recurrent edge networks: what a frame lacks, frames before it may have shown.

    memory -> recall (LR/2) --.
    x -> head -> down --------+-> encode ... decode -> context -> up x gate ...
                                                          `-> remember -> next memory

The memory lies at half of LR size and is made of the context. It enters as a sum, before the
layers that see far enough to put it where things have moved to: nothing is warped and no motion is
asked for, as in RLSP (Fuoli et al., "Efficient Video Super-Resolution through Recurrent Latent
Space Propagation", ICCVW 2019). Between the memory and the sum there is no bias, so a memory of
zeros adds nothing: a first frame is restored by the layers of the single-frame twin alone.

The memory is clipped to 0..6: it cannot grow however long a stream is, and eight bits cover it.
"""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from crispstream.core.bundle import StateTensor
from crispstream.core.pixels import SCALE

from .base import base_subpixels
from .edge import EDGE_S, Edge, EdgeShape
from .registry import MODELS

MEMORY = "memory"
DIVISOR = 2
MOST = 6.0
"""Largest value of the memory."""

TWINS = {"edge-s-r": "edge-s"}
"""The single-frame network whose weights a recurrent one may start from."""


class RecurrentEdge(Edge):
    """An edge network that carries a memory from frame to frame.

    `step` restores a frame of a stream; called like its twin it restores a first frame.
    """

    def __init__(self, shape: EdgeShape, channels: int) -> None:
        """Build the layers of `shape` and of a memory of `channels`; a new one passes it by."""
        super().__init__(shape)
        self.halo_px = 0  # through the memory, a pixel is reached from all over earlier frames
        self.states = (StateTensor(MEMORY, channels, DIVISOR),)
        self.recall = nn.Conv2d(channels, shape.half_channels, 3, padding=1, bias=False)
        self.remember = nn.Conv2d(shape.half_channels, channels, 3, padding=1)
        nn.init.zeros_(self.recall.weight)

    def step(self, x_bchw: Tensor, memory_bchw: Tensor) -> tuple[Tensor, Tensor]:
        """Return what is added to the interpolated frame, [B,48,H,W], and the memory after it.

        `memory_bchw` is [B,C,H/2,W/2] with the C of `states`: what the step before returned,
        zeros for a first frame.
        """
        features = functional.relu(self.head(x_bchw))
        seen = self.down_half(features) + self.recall(memory_bchw)
        context = self.context(self.encode(functional.relu(seen)))
        return self.joined(features, context), self.remember(context).clamp(0, MOST)

    def restored(self, x_bchw: Tensor, memory_bchw: Tensor) -> tuple[Tensor, Tensor]:
        """Return the restored frame [B,3,4H,4W] of a stream, and the memory after it."""
        residual, memory = self.step(x_bchw, memory_bchw)
        subpixels = residual + base_subpixels(x_bchw, self.base)
        return functional.pixel_shuffle(subpixels, SCALE), memory

    def forgotten(self, x_bchw: Tensor) -> Tensor:
        """Return the memory [B,C,H/2,W/2] before a first frame: zeros."""
        rows, cols = (side // DIVISOR for side in x_bchw.shape[2:])
        return x_bchw.new_zeros(len(x_bchw), self.states[0].channels, rows, cols)


def warm_start(network: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights that `network` starts from: those given, or of its twin and its own.

    A new recurrent network that starts from its twin restores every frame as the twin does. For
    any other network that is `weights` as they are.
    """
    own = network.state_dict() if isinstance(network, RecurrentEdge) else {}
    return {**own, **weights}


@MODELS.register("edge-s-r")
def edge_s_r() -> RecurrentEdge:
    """Return the recurrent twin of edge-s: about 3.2 GMAC for 320x180."""
    return RecurrentEdge(EDGE_S, channels=32)
