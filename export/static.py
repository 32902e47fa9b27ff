"""Graphs of one frame size, for the published networks.

With bytes at both ends, for a network that restores frames:

    frame uint8 [1,H,W,3] BGR -> fp32 -> NCHW -> x 1/255 -> network -> fp32 -> x 255 + 1/2 -+
    restored uint8 [1,4H,4W,3] <------------ cast <- NHWC <- clip(0, 255.5) <---------------+

With floats, for a network that estimates something else or is told more than the frame:

    image fp32 [1,3,H,W] BGR 0..1, further maps -> network -> its outputs, fp32

The network runs at the graph's precision, everything else in fp32. The cast truncates, so the
1/2 rounds, and it is the last operator: TensorRT takes bytes only there.
"""

import copy
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

from crispstream.core.pixels import SCALE
from crispstream.train.models.cmsc import fold_batch_norm
from crispstream.train.models.registry import NO_MAPS, Outputs

from .graph import DTYPES, OPSET
from .half import HalfArithmetic

RESTORED = "restored"
"""Name of the restored bytes."""

LEVELS = "levels"
"""Name of the float output of a byte graph before clip and cast: grey levels + 1/2."""

IMAGE = "image"
"""Name of the frame in a float graph."""


@dataclass(frozen=True)
class Shape:
    """What goes into a network and what comes out, at one frame size."""

    width: int
    height: int
    maps: tuple[str, ...]
    """Further inputs, fp32 [1,1,4H,4W] each."""
    outputs: tuple[str, ...]
    """Names as in `named_outputs`."""

    @property
    def restores(self) -> bool:
        """Whether a frame alone gives a restored frame, as bytes then."""
        return self.outputs == ("hr",) and not self.maps

    @property
    def text(self) -> str:
        """The frame size as people write it."""
        return f"{self.width}x{self.height}"


class StaticGraph(nn.Module):
    """The deployed form of a network at one precision: named tensors in, named tensors out."""

    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    floats: tuple[str, ...]
    """The outputs that a proof compares as floats."""

    def __init__(self, network: nn.Module, precision: str) -> None:
        """Take a copy of `network` in fp32 or fp16."""
        super().__init__()
        body = copy.deepcopy(network).eval().requires_grad_(False)
        self.precision = precision
        self.dtype = DTYPES[precision]
        self.network = body.to(self.dtype)

    def widened(self, dtype: torch.dtype) -> "StaticGraph":
        """Return a copy with the same weights in a wider type, for comparing only."""
        copied = copy.deepcopy(self)
        copied.network, copied.dtype = copied.network.to(dtype), dtype
        return copied

    def run(self, x_bchw: Tensor, maps: Mapping[str, Tensor] = NO_MAPS) -> Outputs:
        """Run the network on tensors of its own type."""
        # In the mode a trace records the same operators, and does not take minutes.
        with HalfArithmetic() if self.dtype == torch.float16 else nullcontext():
            outputs: Outputs = self.network(x_bchw, maps)
        return outputs


class BytesStatic(StaticGraph):
    """Bytes in, bytes out; see the first picture."""

    input_names = ("frame",)
    output_names = (RESTORED, LEVELS)
    floats = (LEVELS,)

    def forward(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        """Return (restored, levels)."""
        x_bchw = frame.to(torch.float32).permute(0, 3, 1, 2) * (1 / 255)
        restored = self.run(x_bchw.to(self.dtype)).restored()
        levels = restored.to(torch.float32) * 255 + 0.5
        return levels.clamp(0, 255.5).permute(0, 2, 3, 1).to(torch.uint8), levels


class FloatsStatic(StaticGraph):
    """Floats in, floats out; see the second picture."""

    def __init__(self, network: nn.Module, precision: str, shape: Shape) -> None:
        """Take a copy of `network`, whose inputs and outputs are those of `shape`."""
        super().__init__(network, precision)
        self.maps = shape.maps
        self.input_names = (IMAGE, *shape.maps)
        self.output_names = self.floats = shape.outputs

    def forward(self, image: Tensor, *maps: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs in their order."""
        given = (one.to(self.dtype) for one in maps)
        outputs = self.run(image.to(self.dtype), dict(zip(self.maps, given, strict=True)))
        named = named_outputs(outputs)
        return tuple(named[name].to(torch.float32) for name in self.output_names)


class _Asked(Mapping[str, Tensor]):
    """Stands for any map that a network asks for, and keeps the names."""

    def __init__(self, height: int, width: int) -> None:
        self.names: list[str] = []
        self._map = torch.zeros(1, 1, SCALE * height, SCALE * width, device="meta")

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.names:
            self.names.append(name)
        return self._map

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def shape_of(network: nn.Module, width: int, height: int) -> Shape:
    """Return the inputs and outputs of `network`, found by running it without values."""
    asked, outputs = _run_empty(network, width, height)
    return Shape(width, height, tuple(asked.names), tuple(named_outputs(outputs)))


def macs(network: nn.Module, width: int, height: int) -> int:
    """Return the multiply-accumulates for one frame; nothing is computed."""
    with FlopCounterMode(display=False) as counter:
        _run_empty(network, width, height)
    return int(counter.get_total_flops()) // 2


def macs_that_count(network: nn.Module, width: int, height: int) -> int:
    """Return those multiply-accumulates that lead to an output of the network's graph.

    BlindSR's estimator has heads that serve its own training alone: no graph holds them.
    """

    def outputs_of(x_bchw: Tensor) -> list[Tensor]:
        return list(named_outputs(empty(x_bchw, _Asked(height, width))).values())

    empty = copy.deepcopy(network).to("meta").eval().requires_grad_(False)
    image = torch.zeros(1, 3, height, width, device="meta")
    with torch.no_grad():
        traced = make_fx(outputs_of)(image)
        traced.graph.eliminate_dead_code()
        traced.recompile()
        with FlopCounterMode(display=False) as counter:
            traced(image)
    return int(counter.get_total_flops()) // 2


@torch.inference_mode()
def _run_empty(network: nn.Module, width: int, height: int) -> tuple[_Asked, Outputs]:
    empty = copy.deepcopy(network).to("meta").eval()
    asked = _Asked(height, width)
    return asked, empty(torch.zeros(1, 3, height, width, device="meta"), asked)


def named_outputs(outputs: Outputs) -> dict[str, Tensor]:
    """Return what a network gives for deployment: `hr`, or else `lr` and all maps.

    What a network returns beside a restored frame serves its training.
    """
    if outputs.hr is not None:
        return {"hr": outputs.hr}
    image = {} if outputs.lr is None else {"lr": outputs.lr}
    return {**image, **outputs.maps}


def deployed(network: nn.Module) -> nn.Module:
    """Return a copy that computes the same with less: no unused head, batch norms folded."""
    shorter = getattr(network, "without_lr_head", None)
    return fold_batch_norm(shorter() if shorter is not None else network)


def static_graph(network: nn.Module, shape: Shape, precision: str) -> StaticGraph:
    """Return the graph of a deployed network: bytes where a frame alone gives a frame."""
    if shape.restores:
        return BytesStatic(network, precision)
    return FloatsStatic(network, precision, shape)


def onnx_from_static(graph: StaticGraph, inputs: Sequence[Tensor]) -> bytes:
    """Return the ONNX file of a graph for inputs of exactly these shapes.

    Traced as the edge graphs are, so that nodes are named by module paths; see decision 004.
    """
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        file = Path(folder, "graph.onnx")
        warnings.simplefilter("ignore")  # deprecated in favour of torch.export; see decision 004
        torch.onnx.export(
            graph,
            tuple(inputs),
            file,
            dynamo=False,
            opset_version=OPSET,
            input_names=list(graph.input_names),
            output_names=list(graph.output_names),
        )
        return file.read_bytes()
