"""The byte graph: a network with the pixel arithmetic around it, so that bytes go in and out.

    frame uint8 [1,H,W,3] BGR -> fp32 -> NCHW -+-> x 1/255 -> network body -> 48 channels --+
                                               `-> bilinear base, 48 channels + 1/2 --------+
    restored uint8 [1,4H,4W,3] <- cast <- NHWC <- depth to space <- clip(0, 255.5) <- add <-+

The body runs at the graph's precision, everything else in fp32. The 1/2 in the base makes the
cast, which truncates, round to the nearest level. Why this order: docs/decisions/003-the-tail.md.
"""

import copy
import tempfile
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from crispstream.core.pixels import SCALE
from crispstream.train.models.base import base_kernel, base_subpixels
from crispstream.train.models.blocks import fuse_convolutions
from crispstream.train.models.edge import Edge

OPSET = 17
FLOAT_OUTPUT = "subpixels"
"""Name of the float tensor before clip and cast, in grey levels."""

DTYPES = {"fp32": torch.float32, "fp16": torch.float16}


class ByteGraph(nn.Module):
    """The deployed form of a network at one precision; shapes as in the module's picture."""

    base: Tensor
    rounding: Tensor

    def __init__(self, network: Edge, precision: str) -> None:
        """Fuse a copy of `network` and turn its residual into grey levels."""
        super().__init__()
        body = fuse_convolutions(copy.deepcopy(network))
        with torch.no_grad():
            for parameter in body.get_submodule("tail").parameters():
                parameter.mul_(255)
        self.dtype = DTYPES[precision]
        self.body = body.to(self.dtype).eval().requires_grad_(False)
        self.register_buffer("base", base_kernel())
        self.register_buffer("rounding", torch.full((3 * SCALE * SCALE,), 0.5))

    def subpixels(self, frame: Tensor) -> Tensor:
        """Return the restored grey levels plus 1/2 before the clip, fp32 [1,48,H,W]."""
        levels = frame.to(torch.float32).permute(0, 3, 1, 2)
        residual = self.body.residual((levels * (1 / 255)).to(self.dtype))  # type: ignore[operator]
        base = base_subpixels(levels, self.base, self.rounding)
        total: Tensor = residual.to(torch.float32) + base
        return total

    def forward(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        """Return (restored, subpixels)."""
        subpixels = self.subpixels(frame)
        image = functional.pixel_shuffle(subpixels.clamp(0, 255.5), SCALE)
        return image.permute(0, 2, 3, 1).to(torch.uint8), subpixels


def macs_per_lr_pixel(network: Edge) -> int:
    """Return the multiply-accumulates of the deployed graph for each LR pixel."""
    frame = torch.zeros(1, 96, 96, 3, dtype=torch.uint8)
    graph = ByteGraph(network, "fp32")
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        graph(frame)
    return int(counter.get_total_flops()) // 2 // (96 * 96)


def onnx_from_network(network: Edge, precision: str) -> bytes:
    """Return the ONNX file of `network` with both outputs; height and width stay free.

    The tracing exporter keeps module paths as node names (`/body/tail/Conv`), which is what
    precision plans and profiles refer to.
    """
    size = {1: "height", 2: "width"}
    graph = ByteGraph(network, precision)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        file = Path(folder, "graph.onnx")
        warnings.simplefilter("ignore")  # deprecated in favour of torch.export; see decision 004
        torch.onnx.export(
            graph,
            (torch.zeros(1, 16, 16, 3, dtype=torch.uint8),),
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=["frame"],
            output_names=["restored", FLOAT_OUTPUT],
            dynamic_axes={
                "frame": size,
                "restored": {1: "height_x4", 2: "width_x4"},
                FLOAT_OUTPUT: {2: "height", 3: "width"},
            },
        )
        return file.read_bytes()
