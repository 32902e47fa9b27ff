"""The byte graph: a network with the pixel arithmetic around it, so that bytes go in and out.

    frame uint8 [1,H,W,3] BGR -> fp32 -> NCHW -+-> x 1/255 -> network body -> 48 channels --+
                                               `-> bilinear base, 48 channels + 1/2 --------+
    restored uint8 [1,4H,4W,3] <- cast <- NHWC <- depth to space <- clip(0, 255.5) <- add <-+

The body runs at the graph's precision, everything else in fp32. The 1/2 in the base makes the
cast, which truncates, round to the nearest level. Why this order: docs/decisions/003-the-tail.md.

The body of a recurrent network also reads and gives its states, at the graph's precision:

    state_in_NAME [1,C,H/divisor,W/divisor] -> network body -> state_out_NAME, of the same shape
"""

import copy
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from crispstream.core.bundle import StateTensor
from crispstream.core.errors import ExportError
from crispstream.core.pixels import SCALE
from crispstream.core.tensors import (
    FRAME,
    RESTORED,
    STATE_IN,
    STATE_OUT,
    side_name,
    state_shape,
)
from crispstream.train.models.base import base_subpixels
from crispstream.train.models.edge import Edge

OPSET = 17
FLOAT_OUTPUT = "subpixels"
"""Name of the float tensor before clip and cast, in grey levels."""

DTYPES = {"fp32": torch.float32, "fp16": torch.float16}


def states_of(network: nn.Module) -> tuple[StateTensor, ...]:
    """Return what a network carries from frame to frame, () for one that remembers nothing.

    Raises:
        ExportError: if the sides of a state need not be whole.
    """
    states: tuple[StateTensor, ...] = getattr(network, "states", ())
    for state in states:
        if int(network.size_multiple) % state.divisor:  # type: ignore[arg-type]
            raise ExportError(
                f"the state '{state.name}' has 1/{state.divisor} of the frame's sides, which "
                f"divide by {network.size_multiple} only; give the network a size_multiple that "
                f"{state.divisor} divides"
            )
    return states


class ByteGraph(nn.Module):
    """The deployed form of a network at one precision; shapes as in the module's pictures."""

    base: Tensor
    rounding: Tensor

    def __init__(self, network: Edge, precision: str) -> None:
        """Copy `network` and turn its residual into grey levels.

        Raises:
            ExportError: if the network's states do not fit its frames.
        """
        super().__init__()
        self.states = states_of(network)
        body = copy.deepcopy(network)
        with torch.no_grad():
            for parameter in body.get_submodule("tail").parameters():
                parameter.mul_(255)
        self.dtype = DTYPES[precision]
        self.register_buffer("base", network.base.detach().clone().float())
        self.body = body.to(self.dtype).eval().requires_grad_(False)
        self.register_buffer("rounding", torch.full((3 * SCALE * SCALE,), 0.5))

    def subpixels(self, frame: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Return (restored grey levels plus 1/2 before the clip, fp32 [1,48,H,W]; new states)."""
        levels = frame.to(torch.float32).permute(0, 3, 1, 2)
        x_bchw = (levels * (1 / 255)).to(self.dtype)
        # A network without states need not know of them.
        residual, *after = (
            self.body.step(x_bchw, *states)  # type: ignore[operator]
            if self.states
            else (self.body.residual(x_bchw),)
        )
        base = base_subpixels(levels, self.base, self.rounding)
        return residual.to(torch.float32) + base, *after

    def forward(self, frame: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Return (restored, new states, subpixels)."""
        subpixels, *after = self.subpixels(frame, *states)
        image = functional.pixel_shuffle(subpixels.clamp(0, 255.5), SCALE)
        return image.permute(0, 2, 3, 1).to(torch.uint8), *after, subpixels

    def zeros(self, width: int, height: int) -> tuple[Tensor, ...]:
        """Return the states before a first frame of this size in px."""
        shapes = (state_shape(state, width, height) for state in self.states)
        return tuple(torch.zeros(shape, dtype=self.dtype) for shape in shapes)


def macs_per_lr_pixel(network: Edge) -> int:
    """Return the multiply-accumulates of the deployed graph for each LR pixel."""
    frame = torch.zeros(1, 96, 96, 3, dtype=torch.uint8)
    graph = ByteGraph(network, "fp32")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        graph(frame, *graph.zeros(96, 96))
    return int(counter.get_total_flops()) // 2 // (96 * 96)


def onnx_from_network(network: Edge, precision: str) -> bytes:
    """Return the ONNX file of `network` with all outputs; height and width stay free.

    The tracing exporter keeps module paths as node names (`/tail/Conv`), which is what
    precision plans and profiles refer to.
    """
    graph = ByteGraph(network, precision)
    side = 4 * network.size_multiple
    frame = torch.zeros(1, side, side, 3, dtype=torch.uint8)
    names = [state.name for state in graph.states]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        file = Path(folder, "graph.onnx")
        warnings.simplefilter("ignore")  # deprecated in favour of torch.export; see decision 004
        torch.onnx.export(
            graph,
            (frame, *graph.zeros(side, side)),
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=[FRAME, *(f"{STATE_IN}{name}" for name in names)],
            output_names=[RESTORED, *(f"{STATE_OUT}{name}" for name in names), FLOAT_OUTPUT],
            dynamic_axes=_free_axes(graph.states),
        )
        return file.read_bytes()


def _free_axes(states: Sequence[StateTensor]) -> dict[str, dict[int, str]]:
    """Return the sides that stay free, by tensor: axis -> name."""
    axes = {
        FRAME: {1: "height", 2: "width"},
        RESTORED: {1: "height_x4", 2: "width_x4"},
        FLOAT_OUTPUT: {2: "height", 3: "width"},
    }
    for state in states:
        sides = {2: side_name("height", state.divisor), 3: side_name("width", state.divisor)}
        axes |= {f"{way}{state.name}": sides for way in (STATE_IN, STATE_OUT)}
    return axes
